/**
 * The backends of a snapshot in the words of the operational endpoints, for callers in the same process.
 */
import type { BackendEntry } from "../api/backend-entry.ts"
import { backendEntry } from "../operations/handlers/health-pages.ts"
import type { Snapshot } from "../registry/snapshot.ts"

/** Every backend as `/nexus/backends` would list it now. */
export const localBackends = (snapshot: Snapshot): ReadonlyArray<BackendEntry> => {
  const now = performance.now()
  return [...snapshot.backends.values()].map((state) => backendEntry(state, now))
}
