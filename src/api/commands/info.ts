/** `show info`: what the process is and does (HAProxy management manual 9.3). */
import { infoRecord, infoText } from "../../control/stats/info-text.ts";
import type { InfoOptions } from "../../control/stats/info-text.ts";
import { infoFacts } from "../../control/stats/info.ts";
import { observersOf } from "../../control/stats/observers.ts";
import { output } from "../command.ts";
import type { Call, Command, Reply } from "../command.ts";

/** The commands. */
export const INFO_COMMANDS: readonly Command[] = [
  {
    name: "show info",
    usage: "[desc|json|typed|float]*",
    summary: "report information about the running process",
    level: "user",
    run: showInfo,
  },
];

function showInfo({ control, args }: Call): Reply {
  const options: InfoOptions = { format: "plain", isDescribed: false, hasFractions: false };
  for (const word of args) {
    if (word === "typed" || word === "json") options.format = word;
    else if (word === "desc") options.isDescribed = true;
    else if (word === "float") options.hasFractions = true;
  }
  const facts = infoFacts(control, observersOf(control).sampler);
  return output(infoText(facts, options), infoRecord(facts));
}
