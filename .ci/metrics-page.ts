/**
 * Writes docs/metrics.md anew from the definitions of the metrics.
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { metricsPage } from "../src/telemetry/reference.ts"

writeFileSync(join(import.meta.dir, "../docs/metrics.md"), metricsPage())
