/**
 * The objects that control knows: proxies, listeners, servers, each with its row in the shared
 * tables. One writer: the control plane changes them, workers see rows and mutations.
 */
import type { BindSpec, Plan, ProxySpec, ServerSpec } from "../tables/spec.ts";
import type { Tables } from "../tables/tables.ts";

export type ServerObject = {
  readonly row: number;
  readonly generation: number;
  readonly backend: ProxyObject;
  spec: ServerSpec;
};

export type ListenerObject = {
  readonly row: number;
  readonly frontend: ProxyObject;
  readonly spec: BindSpec;
  /** Bound descriptors, one a worker; empty = the workers bind. */
  fds: number[];
};

export type ProxyObject = {
  readonly row: number;
  readonly generation: number;
  spec: ProxySpec;
  readonly servers: ServerObject[];
  readonly listeners: ListenerObject[];
};

/** All objects of the process. */
export class Model {
  readonly plan: Plan;
  readonly tables: Tables;
  readonly proxies: ProxyObject[] = [];
  readonly proxyByRow = new Map<number, ProxyObject>();
  readonly serverByRow = new Map<number, ServerObject>();
  readonly listenerByRow = new Map<number, ListenerObject>();

  constructor(plan: Plan, tables: Tables) {
    this.plan = plan;
    this.tables = tables;
  }
}
