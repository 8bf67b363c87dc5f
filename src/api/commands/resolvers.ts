/**
 * Name servers and what they have answered: `show resolvers` (management manual 9.3) and
 * `show stat domain resolvers` (9.1), in HAProxy's layout.
 */
import type { Json } from "../../base/json.ts";
import { Refusal } from "../../base/refusals.ts";
import type { Control } from "../../control/control.ts";
import { COUNTER_NAMES } from "../../control/names/counters.ts";
import { controlNames } from "../../control/names/names.ts";
import type { Nameserver } from "../../control/names/nameserver.ts";
import type { Section } from "../../control/names/section.ts";
import { anonymName } from "../anonymize.ts";
import { output } from "../command.ts";
import type { Call, Command, Reply } from "../command.ts";

/** Characters of a label, with its colon. */
const LABEL_LENGTH = 13;

/** The commands. */
export const RESOLVERS_COMMANDS: readonly Command[] = [
  {
    name: "show resolvers",
    usage: "[<resolvers section>]",
    summary: "dumps counters from all resolvers section and associated name servers",
    level: "user",
    result: "a list of `{section, nameserver, <counter>…}`",
    run: showResolvers,
  },
];

/** @throws Refusal when the section named is none */
function showResolvers(call: Call): Reply {
  const { control, asker, args } = call;
  const [word = ""] = args;
  const sections = controlNames(control).sections.filter(
    ({ spec }) => word === "" || spec.name === word,
  );
  if (sections.length === 0 && word !== "") {
    throw new Refusal("BAD_ARGUMENT", "Can't find that resolvers section");
  }
  if (sections.length === 0) return output("No resolvers found\n", []);
  const lines = sections.flatMap(({ spec, nameservers }) => [
    `Resolvers section ${anonymName(asker, spec.name)}\n`,
    ...nameservers.map((server) => describe(server, anonymName(asker, server.name))),
  ]);
  return output(lines.join(""), listOf(sections));
}

function describe({ counters }: Nameserver, name: string): string {
  const lines = COUNTER_NAMES.map(([key, label]) => {
    return `  ${`${label}:`.padEnd(LABEL_LENGTH)}${counters[key]}\n`;
  });
  return ` nameserver ${name}:\n${lines.join("")}`;
}

function listOf(sections: readonly Section[]): Json {
  return sections.flatMap(({ spec, nameservers }) =>
    nameservers.map(({ name, counters }) => {
      const counted = COUNTER_NAMES.map(([key, label]) => [label, counters[key]] as const);
      return { section: spec.name, nameserver: name, ...Object.fromEntries(counted) };
    }),
  );
}

/** `show stat domain resolvers`: a line for each name server. */
export function resolversStat(control: Control): Reply {
  const columns = COUNTER_NAMES.map(([, label, column = label]) => `${column},`).join("");
  const { sections } = controlNames(control);
  const lines = sections.flatMap(({ spec, nameservers }) =>
    nameservers.map(({ name, counters }) => {
      const values = COUNTER_NAMES.map(([key]) => `${counters[key]},`).join("");
      return `${name},${spec.name},${values}\n`;
    }),
  );
  return output(`# id,pid,${columns}\n${lines.join("")}`, listOf(sections));
}
