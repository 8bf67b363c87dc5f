/** Commands that change frontends which exist (management manual 9.3). */
import { Refusal } from "../../base/refusals.ts";
import { systemLibc } from "../../base/system-libc.ts";
import {
  prepareFrontMaxconn,
  prepareShutdown,
  prepareSwitch,
} from "../../control/change/frontend.ts";
import type { FrontendControl } from "../../control/change/frontend.ts";
import type { Change, DraftProxy } from "../../control/draft.ts";
import type { Call, ChangeCommand, Command, PlainCommand } from "../command.ts";
import { draftFrontend, wanted } from "../find.ts";
import { refuseMore } from "./server.ts";

const NEEDS_NAME = "A frontend name is expected.";

const SOCKETS: FrontendControl["sockets"] = {
  listen: (fd, backlog) => systemLibc().listen(fd, backlog),
  shutdown: (fd, how) => systemLibc().shutdown(fd, how),
};

function frontendControl({ control }: Call): FrontendControl {
  return { ...control, sockets: SOCKETS };
}

const touches = (call: Call): readonly string[] => [`frontend:${call.args[0] ?? ""}`];

/** A change of one frontend without further words. */
function simple(
  name: string,
  summary: string,
  prepare: (control: FrontendControl, entry: DraftProxy) => Change,
): ChangeCommand {
  return {
    name,
    usage: "<frontend>",
    summary,
    level: "admin",
    prepare(call, draft) {
      const entry = draftFrontend(draft, wanted(call.args[0], NEEDS_NAME));
      refuseMore(call.args, 1);
      return prepare(frontendControl(call), entry);
    },
    touches,
  };
}

const setMaxconn: ChangeCommand = {
  name: "set maxconn frontend",
  usage: "<frontend> <value>",
  summary: "change how many connections a frontend takes",
  level: "admin",
  prepare(call, draft) {
    const entry = draftFrontend(draft, wanted(call.args[0], NEEDS_NAME));
    const word = wanted(call.args[1], "Integer value expected.");
    refuseMore(call.args, 2);
    return prepareFrontMaxconn(frontendControl(call), entry, word);
  },
  touches,
};

/** Something of HTTP, which this proxy does not speak. */
function notHere(name: string, usage: string, summary: string): PlainCommand {
  return {
    name,
    usage,
    summary,
    level: "admin",
    isHidden: true,
    isAbsent: true,
    run() {
      throw new Refusal("NOT_HERE", "Cookies do not apply to a layer-4 proxy.");
    },
  };
}

/** The table. */
export const PROXY_COMMANDS: readonly Command[] = [
  simple("enable frontend", "let a frontend accept connections again", (control, entry) =>
    prepareSwitch(control, entry, true),
  ),
  simple(
    "disable frontend",
    "stop a frontend from accepting, until it is enabled",
    (control, entry) => prepareSwitch(control, entry, false),
  ),
  simple("shutdown frontend", "stop a frontend for good", prepareShutdown),
  setMaxconn,
  notHere("enable dynamic-cookie backend", "<backend>", "enable dynamic cookies"),
  notHere("disable dynamic-cookie backend", "<backend>", "disable dynamic cookies"),
  notHere("set dynamic-cookie-key backend", "<backend> <key>", "change the key of dynamic cookies"),
];
