/** All algorithms against the shared suite. */
import { BALANCERS, runBalancerSuite } from "../../support/balancer-suite.ts";

for (const balancer of BALANCERS) runBalancerSuite(balancer);
