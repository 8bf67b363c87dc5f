/**
 * What a section says of its proxy beside the name.
 */
import type { ProxyHead } from "./fields.ts";

/** Short remarks. */
export function describeHead(head: ProxyHead): string[] {
  const side = head.hasFront ? (head.hasBack ? "listen" : "frontend") : "backend";
  const tags = [side];
  if (head.algorithm !== "") tags.push(head.algorithm);
  if (head.hasBack) tags.push(head.serverCount === 1 ? "1 server" : `${head.serverCount} servers`);
  if (head.isQuic === true) tags.push("QUIC");
  if (head.description !== "") tags.push(head.description);
  return tags;
}
