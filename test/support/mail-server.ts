/**
 * A mail server that takes every mail and keeps what each client said, or behaves as a script of
 * answers tells it to. Just enough of SMTP (RFC 5321) for a client that sends one mail at a time.
 */
import type { Socket } from "bun";

import { startPeer } from "./peers.ts";
import type { Peer } from "./peers.ts";
import { until } from "./procs.ts";

/** What the server answers, by the verb that it answers to; `connect` and `.` too. */
export type MailAnswers = Readonly<Record<string, string>>;

/** What was said on one connection, line by line; the mail itself is not in it. */
export type MailSession = {
  readonly said: string[];
  /** Lines of the mail. */
  readonly mail: string[];
  isTaken: boolean;
};

/** A mail server under test control. */
export interface MailServer extends Peer {
  readonly sessions: readonly MailSession[];
  /** Waits until `count` mails were taken; their lines. */
  mails(count: number): Promise<string[][]>;
}

const ANSWERS: MailAnswers = {
  connect: "220 mail.test ESMTP",
  EHLO: "250-mail.test\r\n250-8BITMIME\r\n250 SIZE 1000000",
  HELO: "250 mail.test",
  MAIL: "250 ok",
  RCPT: "250 ok",
  DATA: "354 go ahead",
  ".": "250 taken",
  QUIT: "221 bye",
  RSET: "250 ok",
};

type Talk = { session: MailSession; rest: string; isData: boolean };

/** Starts one. @param answers instead of the usual ones; "" = silence, "close" = it hangs up */
export function startMailServer(answers: MailAnswers = {}, port = 0): MailServer {
  const sessions: MailSession[] = [];
  const talks = new Map<Socket, Talk>();
  const answer = (socket: Socket, verb: string): void => {
    const text = answers[verb] ?? ANSWERS[verb] ?? "500 what?";
    if (text === "close") socket.end();
    else if (text !== "") socket.write(`${text}\r\n`);
    if (verb === "QUIT" && text !== "") socket.end();
  };
  const line = (socket: Socket, talk: Talk, text: string): void => {
    const { session } = talk;
    if (!talk.isData) {
      session.said.push(text);
      const verb = text.split(" ")[0]?.toUpperCase() ?? "";
      talk.isData = verb === "DATA";
      answer(socket, verb);
    } else if (text === ".") {
      talk.isData = false;
      session.isTaken = true;
      answer(socket, ".");
    } else {
      session.mail.push(text.startsWith(".") ? text.slice(1) : text);
    }
  };
  const peer = startPeer(
    {
      open(socket) {
        const session: MailSession = { said: [], mail: [], isTaken: false };
        sessions.push(session);
        talks.set(socket, { session, rest: "", isData: false });
        answer(socket, "connect");
      },
      data(socket, bytes) {
        const talk = talks.get(socket);
        if (talk === undefined) return;
        const lines = (talk.rest + bytes.toString("latin1")).split("\r\n");
        talk.rest = lines.pop() ?? "";
        for (const text of lines) line(socket, talk, text);
      },
      close: (socket) => void talks.delete(socket),
    },
    port,
  );
  const taken = (): string[][] => sessions.filter((one) => one.isTaken).map(({ mail }) => mail);
  return Object.assign(peer, {
    sessions,
    async mails(count: number): Promise<string[][]> {
      await until(`${count} mails`, () => taken().length >= count);
      return taken();
    },
  });
}
