/**
 * The figures of a workload, a row for each who took part.
 */
import { table } from "../report.ts"
import type { Result, Workload } from "./workload.ts"

/** The table. */
export const fleetTable = (
  { figures }: Workload,
  results: ReadonlyArray<Result & { readonly placer: string }>
): string =>
  table([
    ["", ...figures.map(({ what }) => what)],
    ...results.map((result) => [result.placer, ...figures.map(({ digits, of }) => of(result).toFixed(digits))])
  ])
