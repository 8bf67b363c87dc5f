/**
 * Specs as data in a state file: compared, told apart setting by setting, and made whole again by a
 * release that may have more settings, or fewer, than the one that wrote them. Pure.
 */
import type { Address, BindSpec, ProxySpec, ServerSpec } from "../../tables/spec.ts";
import type { SpecDiff } from "./records.ts";

type Fields = Record<string, unknown>;

/** Settings that say where and in what order something was written, not what it is. */
const PLACE_FIELDS: ReadonlySet<string> = new Set(["id", "isIdForced", "origin", "text"]);
/** Settings whose own settings are compared one by one. */
const NESTED: ReadonlySet<string> = new Set(["check", "agent"]);

/** Is this an object with fields, no array? */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Are two values the same, whatever is in them? Where files and lines stand does not matter. */
function isSame(left: unknown, right: unknown): boolean {
  return Bun.deepEquals(withoutPlaces(left), withoutPlaces(right));
}

function withoutPlaces(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPlaces);
  if (!isFields(value)) return value;
  const kept: Fields = {};
  for (const [key, one] of Object.entries(value)) {
    if (key !== "origin" && one !== undefined) kept[key] = withoutPlaces(one);
  }
  return kept;
}

/**
 * Does the configuration say the same as it did then? Numbers that were given out, files and lines
 * are left aside, and settings that only one of two releases knows.
 */
export function isSameSettings(saved: object, now: object): boolean {
  const [then, mine] = [saved as Fields, now as Fields];
  return [...new Set([...Object.keys(then), ...Object.keys(mine)])].every((key) => {
    if (PLACE_FIELDS.has(key)) return true;
    const isKnownToBoth = key in then && key in mine;
    return !(isKnownToBoth || isOptional(key)) || isSame(then[key], mine[key]);
  });
}

/** The settings in which a server differs from how it was configured or made. */
export function diffSpec(was: ServerSpec, now: ServerSpec): SpecDiff {
  const diff: SpecDiff = {};
  collect(diff, "", was as unknown as Fields, now as unknown as Fields);
  return diff;
}

function collect(diff: SpecDiff, prefix: string, was: Fields, now: Fields): void {
  for (const key of new Set([...Object.keys(was), ...Object.keys(now)])) {
    const [left, right] = [was[key], now[key]];
    if (key === "origin" || left === right) continue;
    if (prefix === "" && NESTED.has(key) && isFields(left) && isFields(right)) {
      collect(diff, `${key}.`, left, right);
    } else if (!isSame(left, right)) {
      diff[prefix + key] = [left, right];
    }
  }
}

/**
 * Applies changes to a configured spec where the configuration says what it said then.
 * @returns the spec, itself where nothing changes, and the settings that the configuration has
 *   changed since
 */
export function applyDiff(
  configured: ServerSpec,
  diff: SpecDiff,
): { spec: ServerSpec; overruled: string[] } {
  const overruled: string[] = [];
  let spec = configured as unknown as Fields;
  for (const [path, [was, now]] of Object.entries(diff)) {
    const dot = path.indexOf(".");
    const [key, inner] =
      dot > 0 && NESTED.has(path.slice(0, dot))
        ? [path.slice(0, dot), path.slice(dot + 1)]
        : [path, undefined];
    const holder = inner === undefined ? spec : spec[key];
    if (!isFields(holder)) continue;
    const field = inner ?? key;
    if (!isSame(holder[field], was)) overruled.push(path);
    else if (fitsField(field, holder[field], now)) {
      const changed = withField(holder, field, now);
      spec = inner === undefined ? changed : { ...spec, [key]: changed };
    }
  }
  return { spec: spec as unknown as ServerSpec, overruled };
}

function withField(holder: Fields, field: string, value: unknown): Fields {
  const changed = { ...holder, [field]: value };
  if (value === undefined) delete changed[field];
  return changed;
}

const isProgram = (value: unknown): boolean => isFields(value) && typeof value["kind"] === "string";

/** Settings of several shapes: taken as a whole, and as they are where they are not in a file. */
const WHOLE: Readonly<Record<string, (value: unknown) => boolean>> = { checkProgram: isProgram };

/** May a field be missing, and what is it when it is there? */
const OPTIONAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  address: isAddress,
  source: (value) => isFields(value) && isAddress(value["address"]),
  emailAlert: (value) => isFields(value) && typeof value["mailers"] === "string",
  outlier: isFields,
  program: isProgram,
  quic: isFields,
  stepTls: isFields,
  tls: isFields,
  sendProxy: (value) => isFields(value) && Array.isArray(value["options"]),
  workers: Array.isArray,
  defaultBackend: (value) => isFields(value) && typeof value["name"] === "string",
  logFormat: isFields,
  errorLogFormat: isFields,
  sample: isFields,
  isIdForced: (value) => typeof value === "boolean",
  namePort: (value) => Number.isInteger(value),
  resolution: (value) => isFields(value) && typeof value["resolvers"] === "string",
  uniqueIdFormat: isFields,
};
const OPTIONAL_TEXTS: ReadonlySet<string> = new Set([
  "guid",
  "name",
  "hostName",
  "serviceName",
  "track",
  "interfaceName",
  "description",
  "logTag",
  "madeFrom",
]);

const isOptional = (field: string): boolean => field in OPTIONAL || OPTIONAL_TEXTS.has(field);

/** Settings that are always there, also where another spec has an optional one of the same name. */
const isFixed = (sample: unknown): boolean =>
  typeof sample === "number" || typeof sample === "boolean";

function fitsField(field: string, sample: unknown, value: unknown): boolean {
  const check = OPTIONAL[field];
  if (check !== undefined && !isFixed(sample)) return value === undefined || check(value);
  if (sample === undefined) {
    return value === undefined || (OPTIONAL_TEXTS.has(field) && typeof value === "string");
  }
  if (typeof sample === "number") return Number.isFinite(value);
  if (Array.isArray(sample)) return Array.isArray(value);
  if (isFields(sample)) return isFields(value);
  return typeof value === typeof sample;
}

/** Is this the address of something? */
export function isAddress(value: unknown): value is Address {
  if (!isFields(value)) return false;
  const { family, host, port, path, name, fd } = value;
  switch (family) {
    case "ipv4":
    case "ipv6":
      return typeof host === "string" && Number.isInteger(port);
    case "unix":
      return typeof path === "string";
    case "abns":
      return typeof name === "string";
    case "fd":
      return Number.isInteger(fd);
    default:
      return false;
  }
}

/**
 * A spec of this release with the settings of a saved one: what is not in the file is as in `base`,
 * what this release does not know, or not like that, is left out.
 */
export function completeSpec<T extends ServerSpec | BindSpec | ProxySpec>(
  base: T,
  saved: unknown,
): T {
  return complete(base as unknown as Fields, saved) as unknown as T;
}

function complete(base: Fields, saved: unknown): Fields {
  if (!isFields(saved)) return base;
  const made: Fields = { ...base };
  for (const key of new Set([...Object.keys(base), ...Object.keys(OPTIONAL), ...OPTIONAL_TEXTS])) {
    if (!(key in saved)) {
      // What may be missing was missing.
      if (isOptional(key) && key !== "name" && !isFixed(base[key])) delete made[key];
      continue;
    }
    const value = saved[key];
    const whole = WHOLE[key];
    if (whole !== undefined) {
      if (whole(value)) made[key] = value;
      continue;
    }
    if (!fitsField(key, base[key], value)) continue;
    const isNested = isFields(base[key]) && !(key in OPTIONAL) && key !== "origin";
    made[key] = isNested ? complete(base[key] as Fields, value) : value;
    if (value === undefined) delete made[key];
  }
  return made;
}

/** An address as text, to tell one machine from another. */
export function addressKey(address: Address | undefined): string {
  return address === undefined ? "" : JSON.stringify(address);
}
