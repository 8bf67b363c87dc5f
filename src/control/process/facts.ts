/** Facts about this machine for `-vv`. */
import { release, type, version } from "node:os";

/** `Linux 6.1.0 #1 SMP x86_64`, as HAProxy names the system. */
export function systemName(): string {
  return `${type()} ${release()} ${version()} ${process.arch === "x64" ? "x86_64" : process.arch}`;
}
