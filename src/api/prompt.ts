/** What stands around answers: the prompt, the empty line, the severity of a message. */
import type { Asker } from "./command.ts";

const SEVERITY_NAMES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/** `[3]: ` or `[err]: ` before a message, where the connection wants it. */
export function severityMark(asker: Asker, severity: number): string {
  if (asker.severityOutput === "none") return "";
  const isNumber = asker.severityOutput === "number";
  return `[${isNumber ? severity : (SEVERITY_NAMES[severity] ?? severity)}]: `;
}

/** What follows an answer: the empty line that ends it, and a prompt behind the last of a line. */
export function promptText(asker: Asker, isLast: boolean, upMs: number): string {
  const { prompt } = asker;
  if (!isLast || prompt === "none" || prompt === "interactive") return "\n";
  return prompt === "plain" ? "\n> " : `\n[${uptime(upMs)}]> `;
}

/** `d:hh:mm:ss`. */
function uptime(upMs: number): string {
  const seconds = Math.floor(upMs / 1000);
  const two = (value: number): string => String(value % 60).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const hours = String(Math.floor(seconds / 3600) % 24).padStart(2, "0");
  return `${days}:${hours}:${two(Math.floor(seconds / 60))}:${two(seconds)}`;
}
