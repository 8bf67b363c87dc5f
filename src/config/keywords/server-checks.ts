/**
 * Options of servers about their checks, their agents and what real traffic tells of them (HAProxy
 * manual 5.2). `check` itself, intervals and counts are in `server.ts`.
 */
import { parseAddress } from "../address.ts";
import type { CheckTlsDraft } from "../checks/tls.ts";
import type { ServerSettings } from "../draft.ts";
import { parseInteger, parseTime } from "../numbers.ts";
import { parseAlpn } from "../quic/words.ts";
import { oneOf, undone } from "./build.ts";
import type { Keyword } from "./keyword.ts";
import type { ServerParser } from "./server.ts";

const SERVER = ["server", "default-server"];

/** Sets one part of TLS of checks. */
function tls(change: (words: CheckTlsDraft, value: string) => string | undefined): ServerParser {
  return ({ settings }, value) => {
    const words = { ...settings.checkTls };
    const problem = change(words, value);
    if (problem === undefined) settings.checkTls = words;
    return problem;
  };
}

function tlsSwitch(key: "isOn" | "isSniAuto", value: boolean): ServerParser {
  return tls((words) => {
    words[key] = value;
    return undefined;
  });
}

function tlsText(key: "caFile" | "crt"): ServerParser {
  return tls((words, value) => {
    words[key] = value;
    return undefined;
  });
}

/** Longest name of a host. */
const HOST_NAME = /^[A-Za-z0-9_*.:-]{1,253}$/u;

function tlsName(key: "sni" | "verifyHost"): ServerParser {
  return tls((words, value) => {
    if (!HOST_NAME.test(value)) return `'${value}' is no name of a host.`;
    words[key] = value;
    return undefined;
  });
}

const parseVerify = tls((words, value) => {
  const mode = oneOf(value, ["none", "required"]);
  if (!mode.ok) return mode.message;
  words.verify = mode.value;
  return undefined;
});

const parseCheckAlpn = tls((words, value) => {
  const names = parseAlpn(value);
  if (!names.ok) return `${names.message}.`;
  words.alpn = names.value;
  return undefined;
});

const noVerifyHost = tls((words) => {
  words.verifyHost = "";
  return undefined;
});

function agentSwitch(value: boolean): ServerParser {
  return ({ settings }) => {
    settings.agent = { ...settings.agent, enabled: value };
    return undefined;
  };
}

const parseAgentPort: ServerParser = ({ settings }, value) => {
  const port = parseInteger(value, 0, 65_535);
  if (!port.ok) return `expects a port between 0 and 65535 (got '${value}').`;
  settings.agent = { ...settings.agent, port: port.value };
  return undefined;
};

const parseAgentAddress: ServerParser = ({ settings }, value, context) => {
  const address = parseAddress(value, {
    port: "none",
    range: false,
    offset: false,
    transports: ["stream"],
    variables: context.environment.lookup,
  });
  const isIp = address.ok && (address.value.kind === "ip" || address.value.kind === "name");
  if (!isIp) return `parsing agent-addr failed. Check if '${value}' is correct address.`;
  settings.agentAddress = { written: value, address: address.value };
  return undefined;
};

const parseAgentInterval: ServerParser = (target, value) => {
  const time = parseTime(value);
  if (!time.ok) return `${time.message} in 'agent-inter' argument of server ${target.name}.`;
  if (time.value === 0) {
    return `invalid value ${value} for argument 'agent-inter' of server ${target.name}.`;
  }
  target.settings.agent = { ...target.settings.agent, intervalMs: time.value };
  return undefined;
};

const parseAgentSend: ServerParser = ({ settings }, value) => {
  settings.agent = { ...settings.agent, send: value };
  return undefined;
};

const OBSERVE: readonly ServerSettings["observe"][] = ["none", "layer4"];

const parseObserve: ServerParser = ({ settings }, value) => {
  if (value === "layer7") return "'layer7' can only be used in http proxies.";
  const mode = OBSERVE.find((name) => name === value);
  if (mode === undefined) {
    return `expects one of 'none', 'layer4', 'layer7' but got '${value}'.`;
  }
  settings.observe = mode;
  return undefined;
};

const parseSlowstart: ServerParser = (target, value) => {
  const time = parseTime(value);
  if (!time.ok) return `${time.message} in 'slowstart' argument of server ${target.name}.`;
  target.settings.slowstartMs = time.value;
  return undefined;
};

const parseHealthcheck: ServerParser = ({ settings }, value) => {
  settings.healthcheck = value;
  return undefined;
};

/** What checks speak anyway is taken; another one is not there. */
const parseCheckProto: ServerParser = (_, value) => {
  if (value === "none" || value === "h1") return undefined;
  if (["h2", "fcgi", "spop", "quic"].includes(value)) {
    return `checks do not speak '${value}': 'h1' and 'none' are what they speak.`;
  }
  return `unknown MUX protocol '${value}'.`;
};

type Row = readonly [name: string, args: string, effect: string, parse: ServerParser];

const DONE: readonly Row[] = [
  ["agent-addr", "<address>", "Address of the agent, if not the server's.", parseAgentAddress],
  ["agent-check", "", "Asks an agent for weight and state.", agentSwitch(true)],
  ["agent-inter", "<time>", "Interval between questions to the agent.", parseAgentInterval],
  ["agent-port", "<port>", "Port of the agent.", parseAgentPort],
  ["agent-send", "<text>", "Text sent to the agent.", parseAgentSend],
  ["ca-file", "<file>", "Authorities of the server's certificate, in checks.", tlsText("caFile")],
  ["check-alpn", "<protocols>", "Protocols offered in TLS checks.", parseCheckAlpn],
  ["check-proto", "{none|h1}", "Protocol of checks: what they speak anyway.", parseCheckProto],
  [
    "check-sni",
    "<name>",
    "Name that TLS checks ask for, and that the certificate must have.",
    tlsName("sni"),
  ],
  [
    "check-sni-auto",
    "",
    "TLS checks ask for the host of their request.",
    tlsSwitch("isSniAuto", true),
  ],
  ["check-ssl", "", "Checks over TLS.", tlsSwitch("isOn", true)],
  ["crt", "<file>", "Own certificate shown to the server, in checks.", tlsText("crt")],
  ["healthcheck", "<name>", "Checks by a `healthcheck` section.", parseHealthcheck],
  ["no-agent-check", "", "Undoes `agent-check`.", agentSwitch(false)],
  ["no-check-sni-auto", "", "Undoes `check-sni-auto`.", tlsSwitch("isSniAuto", false)],
  ["no-check-ssl", "", "Undoes `check-ssl`.", tlsSwitch("isOn", false)],
  ["no-verifyhost", "", "Undoes `verifyhost`.", noVerifyHost],
  ["observe", "{none|layer4}", "Judges the server by its real connections.", parseObserve],
  ["slowstart", "<time>", "Ramps the weight up after the server came back.", parseSlowstart],
  [
    "verify",
    "{none|required}",
    "Whether the server's certificate is verified, in checks.",
    parseVerify,
  ],
  ["verifyhost", "<name>", "Name that the certificate must have.", tlsName("verifyHost")],
];

const INERT = undone<ServerParser>("inert", SERVER, "5.2", [
  ["check-pool-conn-name", "<name>", "Name of the connection that checks reuse: they open theirs."],
  ["check-reuse-pool", "", "Checks over idle connections: they open their own."],
  ["check-via-socks4", "", "Checks through a SOCKS proxy, which no server has here."],
  ["no-check-reuse-pool", "", "Undoes `check-reuse-pool`."],
]);

/** The rows. */
export const SERVER_CHECKS: readonly Keyword<ServerParser>[] = [
  ...DONE.map(([name, args, effect, parse]): Keyword<ServerParser> => {
    return { name, sections: SERVER, args, effect, reference: "5.2", state: "done", parse };
  }),
  ...INERT,
];
