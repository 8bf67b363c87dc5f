/**
 * What rise and fall mean, written a second time and another way: runs of results instead of a
 * counter. The simulation of checks compares the two.
 */

/** Settings of one check. */
export type ModelSettings = {
  rise: number;
  fall: number;
  /** Agents: only their own "no" counts against them. */
  isAgent: boolean;
};

/** `refused`: an agent says no itself. */
export type ResultKind = "passed" | "failed" | "refused";

/** A server's standing, as one check sees it. */
export class CheckModel {
  isUp: boolean;
  /** Failures in a row while it is up; passes in a row while it is down. */
  run: number;
  readonly settings: ModelSettings;

  constructor(settings: ModelSettings, isUp: boolean, run: number) {
    this.settings = settings;
    this.isUp = isUp;
    this.run = run;
  }

  /** A result that counts. */
  result(kind: ResultKind): void {
    const { rise, fall, isAgent } = this.settings;
    const isGood = kind === "passed";
    if (isAgent && kind === "failed") return;
    if (isGood === this.isUp) {
      // A good result of one that is up, a bad one of one that is down: any run is broken.
      this.run = 0;
      return;
    }
    this.run++;
    if (this.run < (this.isUp ? fall : rise)) return;
    this.isUp = !this.isUp;
    this.run = 0;
  }

  /** An operator has decided. */
  decide(isUp: boolean): void {
    this.isUp = isUp;
    this.run = 0;
  }

  /** `on-error`, of one that is up. */
  errors(onError: "fastinter" | "fail-check" | "sudden-death" | "mark-down"): void {
    if (!this.isUp || onError === "fastinter") return;
    const { fall } = this.settings;
    if (onError === "mark-down") this.run = fall - 1;
    if (onError === "sudden-death") this.run = Math.max(this.run, fall - 2);
    this.result("failed");
  }

  /** The counter that HAProxy would show. */
  get health(): number {
    const { rise, fall } = this.settings;
    return this.isUp ? rise + fall - 1 - this.run : this.run;
  }

  copy(): CheckModel {
    return new CheckModel(this.settings, this.isUp, this.run);
  }
}

/** A check that begins (`init-state`). */
export function freshModel(
  settings: ModelSettings,
  initState: "up" | "fully-up" | "down" | "fully-down",
): CheckModel {
  const { rise, fall } = settings;
  switch (initState) {
    case "up":
      return new CheckModel(settings, true, fall - 1);
    case "fully-up":
      return new CheckModel(settings, true, 0);
    case "down":
      return new CheckModel(settings, false, rise - 1);
    case "fully-down":
      return new CheckModel(settings, false, 0);
  }
}

/** A check whose counter stands there, as HAProxy counts. */
export function modelAt(settings: ModelSettings, health: number): CheckModel {
  const { rise, fall } = settings;
  const isUp = health >= rise;
  return new CheckModel(settings, isUp, isUp ? rise + fall - 1 - health : health);
}
