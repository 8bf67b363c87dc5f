/**
 * Why the runtime API refuses: a stable code for programs, a sentence for people. The sentences
 * that HAProxy has too are HAProxy's to the letter, since tools read them; the code says the same
 * in one word. `docs/runtime-api.md` lists the codes. Control and the API throw these; nothing on
 * the way of traffic does.
 */

/** All codes, with what they mean. */
export const REFUSALS = {
  PERMISSION: "the connection's level does not allow the command",
  UNKNOWN_COMMAND: "no command has these words",
  BAD_ARGUMENT: "a word is missing, too many, or no valid value",
  NOT_HERE: "the command exists in HAProxy and does not apply to a layer-4 proxy",
  NOT_YET: "the command belongs to a part of sluice that this release does not have",
  NO_BACKEND: "no backend has this name",
  NO_FRONTEND: "no frontend has this name",
  NO_PROXY: "no proxy has this name or id",
  NO_SERVER: "no server of the backend has this name",
  NO_LISTENER: "no listener has this name or id",
  NO_SESSION: "no stream has this id",
  NO_DEFAULTS: "no defaults section has this name",
  EXISTS: "the name, id or GUID is taken",
  WRONG_STATE: "the object is in a state that does not allow this",
  IN_USE: "somebody still refers to the object; the holders are listed",
  NOT_DYNAMIC: "the object or its balancing algorithm does not allow changes of this kind",
  CONFIGURED: "the object is named by the configuration and stays",
  TOO_MANY: "a limit would be passed",
  VERSION: "the object has changed since the version that the caller knows",
  SYSTEM: "the operating system refused",
  TIMEOUT: "the time given ran out first",
  INTERRUPTED: "the caller left before the end",
  ABORTED: "another change of the same transaction was refused",
  INTERNAL: "a fault of sluice itself: its log says more",
} as const;

/** One of the codes. */
export type RefusalCode = keyof typeof REFUSALS;

/** Who keeps an object from being removed, with the command that clears it. */
export type Holder = {
  /** What kind of reference it is. */
  kind:
    | "state"
    | "stream"
    | "queue"
    | "server"
    | "purge"
    | "rule"
    | "track"
    | "check"
    | "listener"
    | "session"
    | "configuration"
    | "quic";
  /** For people: `2 streams on worker 3, oldest 41 s`. */
  text: string;
  /** Command that makes it go; undefined: it goes by itself, or never. */
  clear?: string;
  count?: number;
  worker?: number;
};

/** A request that is turned down: nothing has changed. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly holders: readonly Holder[];
  /** The same with more about its holders, for whoever can wait for the workers' answers. */
  elaborate?: () => Promise<Refusal>;

  /** @param sentence without a newline at its end */
  constructor(code: RefusalCode, sentence: string, holders: readonly Holder[] = []) {
    super(sentence);
    this.name = "Refusal";
    this.code = code;
    this.holders = holders;
  }
}
