/**
 * `show schema json`: what the JSON of `show info json` and `show stat json` looks like, as a JSON
 * schema (draft 4), made from the tables of columns.
 */
import type { Json } from "../../base/json.ts";
import { STAT_KINDS } from "./fields.ts";

const reference = (name: string): Json => ({ $ref: `#/definitions/${name}` });

const TAGS = {
  origin: ["Metric", "Status", "Key", "Config", "Product", "Unknown"],
  nature: [
    "Gauge",
    "Limit",
    "Min",
    "Max",
    "Rate",
    "Counter",
    "Duration",
    "Age",
    "Time",
    "Name",
    "Output",
    "Avg",
    "Unknown",
  ],
  scope: ["Cluster", "Process", "Service", "System", "Unknown"],
} as const;

const INTEGERS = {
  s32: [-2_147_483_648, 2_147_483_647],
  s64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  u32: [0, 4_294_967_295],
  u64: [0, Number.MAX_SAFE_INTEGER],
} as const;

function valueOf(type: string, value: Json): Json {
  return {
    type: "object",
    properties: { type: { type: "string", enum: [type] }, value },
    required: ["type", "value"],
  };
}

function definitions(): Json {
  const integers = Object.entries(INTEGERS).map(([type, [minimum, maximum]]) =>
    valueOf(type, { type: "integer", minimum, maximum }),
  );
  return {
    field: {
      type: "object",
      properties: { pos: { type: "integer", minimum: 0 }, name: { type: "string" } },
      required: ["pos", "name"],
    },
    processNum: { type: "integer", minimum: 1 },
    tags: {
      type: "object",
      properties: Object.fromEntries(
        Object.entries(TAGS).map(([name, words]) => [name, { type: "string", enum: words }]),
      ),
      required: Object.keys(TAGS),
    },
    typedValue: { oneOf: [...integers, valueOf("str", { type: "string" })] },
  };
}

const COMMON = {
  field: reference("field"),
  processNum: reference("processNum"),
  tags: reference("tags"),
  value: reference("typedValue"),
};
const KINDS = [...Object.values(STAT_KINDS).map(({ json }) => json), "Unknown"];

/** The schema. */
export function makeSchema(): Json {
  const info = { title: "InfoItem", type: "object", properties: COMMON };
  const stat = {
    title: "StatItem",
    type: "object",
    properties: {
      objType: { enum: KINDS },
      proxyId: { type: "integer", minimum: 0 },
      id: { type: "integer", minimum: 0 },
      ...COMMON,
    },
  };
  return {
    $schema: "http://json-schema.org/draft-04/schema#",
    oneOf: [
      { title: "Info", type: "array", items: { ...info, required: Object.keys(COMMON) } },
      {
        title: "Stat",
        type: "array",
        items: {
          type: "array",
          items: { ...stat, required: ["objType", "proxyId", "id", ...Object.keys(COMMON)] },
        },
      },
      {
        title: "Error",
        type: "object",
        properties: { errorStr: { type: "string" } },
        required: ["errorStr"],
      },
    ],
    definitions: definitions(),
  };
}
