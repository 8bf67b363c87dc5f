/** Lines of `option tcplog`, with what differs from run to run masked. */

/** The fields in order; a group for each that is looked at. */
const LINE = new RegExp(
  [
    /^<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d (\S+?)\[\d+\]:/,
    /(\S+):(\d+) \[[^\]]+\] (\S+) (\S+)\/(\S+) (\S+) (\+?\d+) (\S\S)/,
    /(\d+)\/(\d+)\/(\d+)\/(\d+)\/(\+?\d+) (\d+)\/(\d+)(.*)$/,
  ]
    .map((part) => part.source)
    .join(" "),
);

/**
 * Priority, client address, frontend, backend, server, timers (only whether each was reached),
 * bytes, termination state, retries, queue positions. Masked: date, process, client port, times,
 * and how many connections there were, which depends on when the last client was seen to leave.
 * A line of another shape comes back as it is, without its head.
 */
export function normaliseTcplog(line: string): string {
  const words = LINE.exec(line);
  if (words === null) return maskOther(line);
  const [, priority, , client, , front, back, server, timers, bytes, state] = words;
  const reached = (timers ?? "")
    .split("/")
    .map((time) => (time.startsWith("-") ? "-1" : time.startsWith("+") ? "+T" : "T"))
    .join("/");
  const [retries, serverQueue, backendQueue, rest] = words.slice(15);
  const queue = `${serverQueue}/${backendQueue}`;
  const head = `<${priority}> ${client} ${front} ${back}/${server}`;
  return `${head} ${reached} ${bytes} ${state} rc=${retries} q=${queue}${rest}`;
}

/** A line about a connection that became no stream: its head, client port and date masked. */
function maskOther(line: string): string {
  const text = line.replace(/^(<\d+>).*?\[\d+\]: /, "$1 ");
  return text.replace(/^(<\d+> \S+):\d+ \[[^\]]+\]/, "$1");
}
