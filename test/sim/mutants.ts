/**
 * Deliberately broken copies of the production code, to prove that each invariant can fail. A
 * mutant is a piece of source in place of another; one whose piece is not found any more is an
 * error, so the table follows the code.
 */

export type Mutant = {
  name: string;
  /** Below src/. */
  file: string;
  find: string;
  replace: string;
  /** What must notice it: part of the message. */
  caughtBy: RegExp;
};

export const MUTANTS: readonly Mutant[] = [
  {
    name: "served goes down before the stream is detached",
    file: "data/account/end.ts",
    find: "  closeSide(stream, isAbort);\n",
    replace:
      "  if (stream.isAttached) {\n" +
      "    const row = stream.server!.row;\n" +
      "    engine.deferGrant(leaveServer(engine.balance, stream.backend!.row, row));\n" +
      "  }\n" +
      "  closeSide(stream, isAbort);\n" +
      "  if (stream.isAttached) stream.server!.streamCount--, (stream.isAttached = false);\n",
    caughtBy: /served is not below the streams|never sees more connections/,
  },
  {
    name: "a slot is given on before its connection is closed",
    file: "data/account/end.ts",
    find: "  closeSide(stream, isAbort);\n",
    replace:
      "  if (stream.isAttached) leaveServerInOrder(stream);\n  closeSide(stream, isAbort);\n",
    caughtBy: /never sees more connections than its maxconn/,
  },
  {
    name: "a slot goes to the youngest waiter",
    file: "balance/slots.ts",
    find: "const any = lb.proxies[backendRow + PROXY_QUEUE_HEAD]!;",
    replace: "const any = lb.proxies[backendRow + PROXY_QUEUE_HEAD + 1]!;",
    caughtBy: /slots are granted in order of arrival/,
  },
  {
    name: "a freed slot is offered to nobody",
    file: "balance/choose.ts",
    find: "  settleServer(lb, backendRow, serverRow);\n  offerSlots(lb, backendRow, serverRow);\n",
    replace: "  settleServer(lb, backendRow, serverRow);\n",
    caughtBy: /nobody waits while a slot is free/,
  },
  {
    name: "the last slot is given out twice",
    file: "balance/place.ts",
    find: "return servers[serverRow + SERVER_SERVED]! < serverLimit(lb, backendRow, serverRow);",
    replace:
      "return servers[serverRow + SERVER_SERVED]! <= serverLimit(lb, backendRow, serverRow);",
    caughtBy: /never above maxconn|never sees more connections/,
  },
  {
    name: "an end overtakes bytes that were not taken",
    file: "conduit/tcp/tcp-conduit.ts",
    find: "    if (this.kept !== null || this.isHeld) {\n      this.hasEnded = true;",
    replace: "    if (this.isHeld) {\n      this.hasEnded = true;",
    caughtBy: /an end|end in order|went up|came down|bytes/,
  },
  {
    name: "an end is not passed on",
    file: "data/relay/relay.ts",
    find: "  if (conduit !== null) conduit.finish();",
    replace: "  if (conduit !== null) stream.finishSide = -1;",
    caughtBy: /every stream comes to its end/,
  },
  {
    name: "a writer is not woken when there is room again",
    file: "data/stream.ts",
    find: "    if (other !== null) other.resume();",
    replace: "    if (other !== null && other === this.back) other.resume();",
    caughtBy: /every stream comes to its end|every byte/,
  },
  {
    name: "bytes are counted as taken that were not",
    file: "data/relay/relay.ts",
    find: "  return taken;\n}\n\n/** Bytes that came from",
    replace: "  return length;\n}\n\n/** Bytes that came from",
    caughtBy: /bytes arrive in order/,
  },
  {
    name: "bytes go back to where they came from",
    file: "data/relay/relay.ts",
    find: "const other = side === FRONT ? BACK : FRONT;",
    replace: "const other = stream.bytesUp > 20 ? side : side === FRONT ? BACK : FRONT;",
    caughtBy: /bytes arrive in order|a client gets bytes|who aborted is named/,
  },
  {
    name: "an abort is passed on as an end",
    file: "data/relay/relay.ts",
    find: "CAUSE_CLIENT : CAUSE_SERVER, PHASE_DATA, true);",
    replace: "CAUSE_CLIENT : CAUSE_SERVER, PHASE_DATA, false);",
    caughtBy: /an abort is passed on as an abort/,
  },
  {
    name: "a client that leaves keeps its slot",
    file: "data/account/end.ts",
    find: "  if (stream.isAttached) leaveServerInOrder(stream);\n",
    replace:
      "  if (stream.isAttached && cause !== 0x43) leaveServerInOrder(stream);\n" +
      "  stream.isAttached = false;\n",
    caughtBy: /a server lists its own streams|share is what its streams hold|list/,
  },
  {
    name: "who leaves the queue keeps a slot that was granted",
    file: "data/account/end.ts",
    find: "    if (granted > 0) {",
    replace: "    if (granted < 0) {",
    caughtBy: /share is what its streams hold/,
  },
  {
    name: "a worker shuts down streams of others",
    file: "data/shutdown.ts",
    find: "  const meant = select(engine, selector);\n",
    replace:
      "  const seen = ((globalThis as { seen?: Set<Engine> }).seen ??= new Set<Engine>());\n" +
      "  const peers = [...seen.add(engine)].filter((one) => one.tables === engine.tables);\n" +
      "  const meant = peers.flatMap((one) => select(one, selector));\n",
    caughtBy: /only its owner touches a stream/,
  },
  {
    name: "a timer outlives its stream",
    file: "data/account/end.ts",
    find: "  engine.wheel.clear(stream.slot);\n  // The server's",
    replace: "  // The server's",
    caughtBy: /an ended stream has no timer|no timer of a freed stream/,
  },
  {
    name: "a queue timeout drops a slot that has just been granted",
    file: "data/connect/choose.ts",
    find: "  if (granted > 0) assigned(stream, granted);\n  else endStream",
    replace: "  endStream",
    caughtBy: /share is what its streams hold/,
  },
  {
    name: "room that came back wakes nobody",
    file: "data/accept/admission.ts",
    find: "Atomics.exchange(words, fullCell, 0) === 0) return;",
    replace: "Atomics.exchange(words, fullCell, 0) === 1) return;",
    caughtBy: /every client is accepted in the end|a stream leaves a record|every stream/,
  },
  {
    name: "a connection is not given back to the frontend",
    file: "data/accept/admission.ts",
    find: "CURRENT;\n  giveBack(engine, proxies, front,",
    replace: "CURRENT;\n  if (row < 0) giveBack(engine, proxies, front,",
    caughtBy: /a frontend counts its connections/,
  },
  {
    name: "a dead worker's slots are not given back",
    file: "balance/bury.ts",
    find: "  if (share === 0) return 0;",
    replace: "  if (share >= 0) return 0;",
    caughtBy: /share|served/,
  },
  {
    name: "a dead worker's waiters stay in the queue",
    file: "balance/bury.ts",
    find: "    if (isIts) dropEntry(lb, backendRow, entry);\n    else if",
    replace: "    if",
    caughtBy: /queue|entry|entries|zero|share is what its streams hold/,
  },
  {
    name: "a retry forgets its deadline",
    file: "data/connect/connect.ts",
    find: "  stream.setDeadline(cause === CAUSE_SERVER_TIMEOUT ? 1 : pause);",
    replace: "  stream.deadlineMs = engine.clock.nowMs() + pause;",
    caughtBy: /a deadline has a timer|every stream comes to its end/,
  },
  {
    name: "an error that a write met is forgotten",
    file: "conduit/loop/loop-conduit.ts",
    find: "    if (this.brokenCode < 0) this.breaks(closeCodeOfErrno(-taken));",
    replace: "",
    caughtBy: /an end arrives only after all bytes|an end in order needs both ends/,
  },
  {
    name: "the loop's conduit forgets that there is more to read",
    file: "conduit/loop/loop-conduit.ts",
    find: "if (count < room && !this.hasEndAhead) this.isReadable = false;",
    replace: "if (count < room) this.isReadable = false;",
    caughtBy: /every stream comes to its end/,
  },
  {
    name: "the wheel fires late",
    file: "base/wheel.ts",
    find: "    let at = Math.ceil(deadlineMs / TICK_MS);",
    replace: "    let at = Math.ceil(deadlineMs / TICK_MS) + 20;",
    caughtBy: /a timer is not late|the wheel is armed in time/,
  },
  {
    name: "an idle limit counts from the accept",
    file: "data/relay/relay.ts",
    find: "  if (side === FRONT) {\n    stream.lastFrontMs = now;\n    if (taken > 0 &&",
    replace: "  if (side === FRONT) {\n    if (taken > 1e9 &&",
    caughtBy: /a timeout is not early/,
  },
  {
    name: "a deleted server takes no reference on its backend",
    file: "control/life/servers.ts",
    find: `  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
      references.give(reference);
`,
    replace: `  references.give(reference);
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
`,
    caughtBy: /no backend is removed while a deleted server of it is not purged/,
  },
  {
    name: "the purge of a server gives no reference back",
    file: "control/life/servers.ts",
    find: "      purgeServer(control, server);\n      references.give(reference);\n",
    replace: "      purgeServer(control, server);\n",
    caughtBy: /every reference is given back/,
  },
  {
    name: "a server's row is freed before all workers have forgotten it",
    file: "control/life/servers.ts",
    find: `  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
`,
    replace: `  purgeServer(control, server);
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
`,
    caughtBy: /no worker knows a server whose row is freed/,
  },
  {
    name: "a server is chosen before all workers know it",
    file: "balance/tier.ts",
    find: " &&\n    (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_NEW) === 0",
    replace: "",
    caughtBy: /a chosen server is known to the worker/,
  },
];
