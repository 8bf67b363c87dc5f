/**
 * Which protocols are checked by a dialogue of their own, and which dialogue that is. Thread of
 * checks.
 */
import type { CheckEnvironment, CheckJob, Dialogue } from "../probe.ts";
import { makeAgentDialogue } from "./agent.ts";
import { makeLdapDialogue } from "./ldap.ts";
import { makeMysqlDialogue } from "./mysql.ts";
import { makePgsqlDialogue } from "./pgsql.ts";
import { makeRedisDialogue } from "./redis.ts";
import { makeSmtpDialogue } from "./smtp.ts";
import { makeSpopDialogue } from "./spop.ts";
import { makeSslHelloDialogue } from "./ssl-hello.ts";

/** The dialogue of one check; undefined: its program is none of these. */
export function dialogueFor(job: CheckJob, environment: CheckEnvironment): Dialogue | undefined {
  const { program } = job;
  switch (program.kind) {
    case "redis":
      return makeRedisDialogue(environment);
    case "pgsql":
      return makePgsqlDialogue(environment, program.user);
    case "mysql":
      return makeMysqlDialogue(environment, program.user, program.version);
    case "smtp":
      return makeSmtpDialogue(environment, program.hello, program.domain);
    case "ldap":
      return makeLdapDialogue(environment);
    case "ssl-hello":
      return makeSslHelloDialogue(environment);
    case "spop":
      return makeSpopDialogue(environment);
    case "agent":
      return makeAgentDialogue(environment, program.send);
    default:
      return undefined;
  }
}
