/**
 * One mail to one mail server, by nodemailer's SMTP connection: EHLO (HELO where the server has
 * nothing newer), MAIL, RCPT, DATA, QUIT. Plain text, as HAProxy sends it: TLS is not asked for.
 * Loading the client takes a few ten milliseconds: at the start, and only where there are mailers.
 * The client keeps every line that it is sent, so the socket is ours and what comes is counted.
 * Main thread; nothing here waits.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";

import { startTimer } from "../../base/clock.ts";
import { MAIL_SESSION_BYTES_MAX } from "../../base/limits.ts";
import type { Mail } from "./message.ts";
import { mailMessage } from "./message.ts";

/** Where a mail goes. */
export type MailServer = { host: string; port: number };

/** A mail on its way. `done` is called once, later: undefined = the server has taken it. */
export type Deliver = (
  mail: Mail,
  server: MailServer,
  timeoutMs: number,
  done: (failure: string | undefined) => void,
) => { cancel(): void };

/** The server has this long to close after QUIT; then its connection is cut, ms. */
const CLOSE_MS = 1000;

/** Longest answer of a server that is read, bytes. */
const ANSWER_BYTES_MAX = 16_384;

type Client = Awaited<ReturnType<typeof load>>["default"];

const load = () => import("nodemailer/lib/smtp-connection");
let client: ReturnType<typeof load> | undefined;

/** Loads the client, once. A failure is told by the first mail. */
export function loadMailClient(): ReturnType<typeof load> {
  if (client === undefined) {
    client = load();
    client.catch(() => undefined);
  }
  return client;
}

/** Sends a mail. The time is for all of it, as in HAProxy (`timeout mail`). */
export const deliverMail: Deliver = (mail, server, timeoutMs, done) => {
  let isOver = false;
  let isTaken = false;
  let cut = (): void => {};
  const finish = (failure: string | undefined): void => {
    if (isOver) return;
    isOver = true;
    timer.stop();
    cut();
    done(isTaken ? undefined : failure);
  };
  const timer = startTimer(timeoutMs, () => finish(`no answer within ${timeoutMs} ms`));
  const talk = (SMTPConnection: Client, socket: Socket): void => {
    const connection = new SMTPConnection({
      connection: socket,
      name: mail.hostName,
      secure: false,
      ignoreTLS: true,
      // One time for everything: ours, which is shorter.
      connectionTimeout: timeoutMs * 2,
      greetingTimeout: timeoutMs * 2,
      socketTimeout: timeoutMs * 2,
      socketCloseTimeout: CLOSE_MS,
      maxResponseSize: ANSWER_BYTES_MAX,
    });
    cut = () => connection.close();
    connection.on("error", (error: unknown) => finish(reasonOf(error)));
    connection.on("end", () => finish("the connection was closed"));
    connection.connect((error) => {
      if (error) return finish(reasonOf(error));
      const envelope = { from: mail.from, to: [mail.to] };
      connection.send(envelope, mailMessage(mail), (failure) => {
        if (failure) return finish(reasonOf(failure));
        isTaken = true;
        connection.quit();
      });
    });
  };
  loadMailClient().then(
    ({ default: SMTPConnection }) => {
      if (isOver) return;
      const socket = connect(server);
      cut = () => socket.destroy();
      socket.on("error", (error) => finish(reasonOf(error)));
      socket.once("connect", () => {
        // Nothing is lost before the client listens, which lets it flow.
        socket.pause();
        limitBytes(socket, finish);
        talk(SMTPConnection, socket);
      });
    },
    (error: unknown) => finish(reasonOf(error)),
  );
  return { cancel: () => finish("cancelled") };
};

/** Ends a connection on which too much comes, also after QUIT, before the client sees it. */
function limitBytes(socket: Socket, finish: (failure: string) => void): void {
  let bytesCount = 0;
  socket.on("data", ({ length }) => {
    bytesCount += length;
    if (bytesCount <= MAIL_SESSION_BYTES_MAX) return;
    finish(`the server said more than ${MAIL_SESSION_BYTES_MAX} bytes`);
    socket.destroy();
  });
}

/** One line, whatever the server said. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/gu, " ").slice(0, 200);
}
