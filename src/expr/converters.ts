/**
 * The catalogue of converters that work here (manual 7.3.1), as data. Code: `conversion.ts`.
 *
 * Names known but not built are in `later.ts`. Any thread, read-only.
 */
import type { SampleType } from "../tables/expression.ts";
import type { ArgumentType, ConverterKeyword } from "./keyword.ts";
import { compileRegex } from "./regex.ts";

function row(
  name: string,
  input: SampleType,
  output: SampleType,
  args: readonly ArgumentType[] = [],
  required = 0,
  check?: ConverterKeyword["check"],
): ConverterKeyword {
  const keyword: ConverterKeyword = { name, input, output, args, required, state: "done" };
  return check === undefined ? keyword : { ...keyword, check };
}

/** The operand of an arithmetic converter: an integer; a variable would need `set-var`. */
function checkOperand(args: readonly string[]): string | undefined {
  return /^[-+]?\d+$/.test(args[0] ?? "") ? undefined : "expects an integer";
}

function checkDelimiters(args: readonly string[]): string | undefined {
  if (Number(args[0]) === 0) return "Unexpected value 0 for index";
  return args[1] === "" ? "Empty separators list" : undefined;
}

function checkConcat(args: readonly string[]): string | undefined {
  return (args[1] ?? "") === "" ? undefined : "variables are not available in this release";
}

function checkRegsub(args: readonly string[]): string | undefined {
  const flags = args[2] ?? "";
  const wrong = /[^ig]/.exec(flags);
  if (wrong !== null) {
    return `invalid regex flag '${wrong[0]}', only 'i' and 'g' are supported`;
  }
  if ((args[0] ?? "") === "") return "missing regex";
  const regex = compileRegex(args[0] ?? "", flags.includes("i"));
  return regex.ok ? undefined : regex.message;
}

function checkDigest(args: readonly string[]): string | undefined {
  const known = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];
  return known.includes((args[0] ?? "").toLowerCase())
    ? undefined
    : "Algorithm must be one of md5, sha1, sha224, sha256, sha384, sha512";
}

function checkSha2(args: readonly string[]): string | undefined {
  const bits = args[0] ?? "256";
  return ["224", "256", "384", "512"].includes(bits)
    ? undefined
    : `Unsupported number of bits: '${bits}'`;
}

const operand = (name: string): ConverterKeyword =>
  row(name, "sint", "sint", ["str"], 1, checkOperand);

const hash = (name: string): ConverterKeyword => row(name, "bin", "sint", ["sint"]);

const ROWS: readonly ConverterKeyword[] = [
  operand("add"),
  operand("and"),
  row("b64dec", "str", "bin"),
  row("base64", "bin", "str"),
  row("bool", "sint", "bool"),
  row("bytes", "bin", "bin", ["sint", "sint"], 1),
  row("concat", "str", "str", ["str", "str", "str"], 0, checkConcat),
  row("cpl", "sint", "sint"),
  hash("crc32"),
  hash("crc32c"),
  row("cut_crlf", "str", "str"),
  row("digest", "bin", "bin", ["str"], 1, checkDigest),
  operand("div"),
  hash("djb2"),
  row("even", "sint", "bool"),
  row("field", "str", "str", ["sint", "str", "sint"], 2, checkDelimiters),
  row("hex", "bin", "str"),
  row("hex2i", "bin", "sint"),
  row("htonl", "sint", "bin"),
  row("iif", "bool", "str", ["str", "str"], 2),
  row("ipmask", "addr", "addr", ["mask4", "mask6"], 1),
  row("length", "str", "sint"),
  row("lower", "str", "str"),
  row("ltrim", "str", "str", ["str"], 1),
  operand("mod"),
  operand("mul"),
  row("nbsrv", "str", "sint"),
  row("neg", "sint", "sint"),
  row("not", "sint", "bool"),
  row("odd", "sint", "bool"),
  operand("or"),
  row("regsub", "str", "str", ["str", "str", "str"], 2, checkRegsub),
  row("reverse", "str", "str"),
  row("reverse_dom", "str", "str"),
  row("rtrim", "str", "str", ["str"], 1),
  hash("sdbm"),
  row("sha1", "bin", "bin"),
  row("sha2", "bin", "bin", ["sint"], 0, checkSha2),
  row("srv_is_up", "str", "bool"),
  row("srv_queue", "str", "sint"),
  operand("sub"),
  row("ub64dec", "str", "bin"),
  row("ub64enc", "bin", "str"),
  row("upper", "str", "str"),
  row("url_dec", "str", "str", ["sint"]),
  row("url_enc", "str", "str", ["str"], 0, (args) =>
    args[0] === undefined || args[0] === "" || args[0] === "query"
      ? undefined
      : "Only 'query' is a valid encoding",
  ),
  hash("wt6"),
  row("word", "str", "str", ["sint", "str", "sint"], 2, checkDelimiters),
  operand("xor"),
  row("xxh32", "bin", "sint", ["sint"]),
];

/** Every converter that works, by name. */
export const CONVERTERS: ReadonlyMap<string, ConverterKeyword> = new Map(
  ROWS.map((keyword) => [keyword.name, keyword]),
);
