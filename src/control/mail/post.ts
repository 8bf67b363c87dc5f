/**
 * Mails about servers (manual 4.2 `email-alert`, 12.3): which sentences are mailed, to whom, and
 * the queue of each mail server. Every server of a section is sent every mail, one after the other;
 * a mail that a server does not take is lost, as in HAProxy. A queue is bounded: what does not fit
 * is lost too, and counted. Nothing waits for a mail. Main thread.
 *
 * ```
 *   sentence ─▶ level? ─▶ queue of m/a ─▶ one connection at a time
 *                    └──▶ queue of m/b ─▶ …
 * ```
 */
import { hostname } from "node:os";

import { startTimer, systemClock } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { errorText } from "../../base/errors.ts";
import { MAIL_QUEUE_MAX, MAIL_TELL_MS } from "../../base/limits.ts";
import type { MailersSpec, ProxySpec } from "../../tables/spec.ts";
import type { Notice } from "../logs/sentences.ts";
import { deliverMail, loadMailClient } from "./delivery.ts";
import type { Deliver, MailServer } from "./delivery.ts";
import type { Mail } from "./message.ts";

/** What the post works with; a test hands in its own. */
export type PostOptions = {
  mailers: readonly MailersSpec[];
  /** Mails were lost: a sentence for the log. */
  lost: (text: string) => void;
  deliver?: Deliver;
  clock?: Pick<Clock, "epochMicros">;
  startTimer?: typeof startTimer;
  /** This machine's name. */
  hostName?: string;
};

/** What one mail server has come to, for statistics. */
export type MailCounts = {
  /** `section/mailer`. */
  readonly name: string;
  readonly waiting: number;
  /** Mails that it has taken, and mails that it has not or that did not fit its queue. */
  readonly sent: number;
  readonly lost: number;
};

/** The mails of the process. One a process. */
export class MailPost {
  private readonly boxes: ReadonlyMap<string, readonly Mailbox[]>;
  private readonly clock: Pick<Clock, "epochMicros">;
  private readonly hostName: string;
  /** Told too when mails were lost, once somebody listens. */
  onLost: ((text: string) => void) | null = null;

  constructor(options: PostOptions) {
    this.clock = options.clock ?? systemClock;
    this.hostName = options.hostName ?? hostname();
    // Not when the first server goes down: then there is other work.
    if (options.deliver === undefined && options.mailers.length > 0) void loadMailClient();
    this.boxes = new Map(
      options.mailers.map(({ name, timeoutMs, mailers }) => [
        name,
        mailers.flatMap((mailer) => {
          const { address } = mailer;
          if (address.family !== "ipv4" && address.family !== "ipv6") return [];
          const server = { host: address.host, port: address.port };
          return [new Mailbox(`${name}/${mailer.name}`, server, timeoutMs, options)];
        }),
      ]),
    );
  }

  /** A sentence was said about a proxy: mails it where its lines ask for that. O(mailers). */
  tell({ emailAlert }: Pick<ProxySpec, "emailAlert">, { text, mailLevel }: Notice): void {
    if (emailAlert === undefined || mailLevel === undefined) return;
    if (mailLevel > emailAlert.level) return;
    const { from, to, mailers, hostName = this.hostName } = emailAlert;
    const epochMs = Math.floor(this.clock.epochMicros() / 1000);
    const mail: Mail = { from, to, hostName, text, epochMs };
    for (const box of this.boxes.get(mailers) ?? []) box.put(mail);
  }

  /** Of each mail server, in the order of the configuration. */
  counts(): MailCounts[] {
    return [...this.boxes.values()].flat();
  }

  /** Nothing is sent any more. */
  close(): void {
    for (const boxes of this.boxes.values()) for (const box of boxes) box.close();
  }
}

/** The queue of one mail server. */
class Mailbox implements MailCounts {
  readonly name: string;
  private readonly server: MailServer;
  private readonly timeoutMs: number;
  private readonly deliver: Deliver;
  private readonly startTimer: typeof startTimer;
  private readonly tellLost: (text: string) => void;
  private readonly queue: Mail[] = [];
  private current: { cancel(): void } | null = null;
  private isClosed = false;
  /** Until it ends, mails that are lost are only counted. */
  private silence: { stop(): void } | null = null;
  private untold = 0;
  private reason = "";
  sent = 0;
  lost = 0;

  constructor(name: string, server: MailServer, timeoutMs: number, options: PostOptions) {
    this.name = name;
    this.server = server;
    this.timeoutMs = timeoutMs;
    this.deliver = options.deliver ?? deliverMail;
    this.startTimer = options.startTimer ?? startTimer;
    this.tellLost = options.lost;
  }

  get waiting(): number {
    return this.queue.length;
  }

  put(mail: Mail): void {
    if (this.isClosed) return;
    if (this.queue.length >= MAIL_QUEUE_MAX) {
      this.lose(`${MAIL_QUEUE_MAX} mails wait for it`);
      return;
    }
    this.queue.push(mail);
    if (this.current === null) this.next();
  }

  private next(): void {
    const mail = this.queue.shift();
    if (mail === undefined) return;
    this.current = this.deliver(mail, this.server, this.timeoutMs, (failure) => {
      this.current = null;
      if (this.isClosed) return;
      if (failure === undefined) this.sent++;
      else this.lose(failure);
      this.next();
    });
  }

  /** Said at once, and then once a minute as long as there is more to say. */
  private lose(reason: string): void {
    this.lost++;
    this.untold++;
    this.reason = reason;
    if (this.silence === null) this.say();
  }

  private say(): void {
    this.silence = null;
    if (this.untold === 0) return;
    const { name, untold: count, reason } = this;
    this.untold = 0;
    this.silence = this.startTimer(MAIL_TELL_MS, () => this.say());
    this.tellLost(errorText("SLC_MAILS_LOST", { mailer: name, count, reason }));
  }

  close(): void {
    this.isClosed = true;
    this.queue.length = 0;
    this.silence?.stop();
    this.current?.cancel();
  }
}
