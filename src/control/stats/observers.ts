/**
 * What watches a process from its start: the sampler of `show info`, the ring of events of
 * `show events`, the last protocol errors of `show errors`. One of each a process. Main thread.
 */
import type { Control } from "../control.ts";
import { ErrorRing } from "../error-ring.ts";
import { EventRing } from "../event-ring.ts";
import type { OpenService, Service } from "../process/start.ts";
import { Activity } from "./activity.ts";
import { Sampler } from "./sampler.ts";
import { statisticsOf } from "./statistics.ts";

/** `set profiling tasks`: CPU is always measured, `off` only does not show it. */
export type Profile = { mode: "on" | "auto" | "off"; activity: Activity; sinceMs: number };

/** The observers of one process. */
export type Observers = {
  readonly sampler: Sampler;
  readonly events: EventRing;
  readonly errors: ErrorRing;
  readonly activity: Activity;
  /** CPU of the workers since `set profiling tasks on`. */
  readonly profile: Profile;
};

const made = new WeakMap<Control, Observers>();

/** Those of a process: made at the first call, which `observing` makes when it begins to serve. */
export function observersOf(control: Control): Observers {
  let observers = made.get(control);
  if (observers === undefined) {
    const { tables, clock, events, hub } = control;
    observers = {
      sampler: new Sampler(tables, clock.nowMs),
      events: new EventRing(events, clock, tables),
      errors: new ErrorRing(),
      activity: new Activity(tables),
      profile: { mode: "auto", activity: new Activity(tables), sinceMs: control.startedAtMs },
    };
    const { errors } = observers;
    hub.onSessionError = (context) => errors.add(context, clock.epochMicros());
    made.set(control, observers);
  }
  return observers;
}

/** The observers as a service of the process. */
export const observing: Service = {
  open(): OpenService {
    let observers: Observers | undefined;
    return {
      serve(control) {
        statisticsOf(control);
        observers = observersOf(control);
        observers.sampler.start();
      },
      close() {
        observers?.sampler.stop();
      },
    };
  },
};
