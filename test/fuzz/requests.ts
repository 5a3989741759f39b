/**
 * Requests read by our own listener against the second reading of them, in great numbers: every single change of short
 * requests at every split, then some changes of any requests at any split.
 */
import * as fc from "fast-check"
import { between, chanceOf } from "../../bench/soak/chance.ts"
import { agrees, changedSomewhere, everyChange, good, probe } from "../listener/request-texts.ts"
import { readSlowly } from "../listener/slow-reader.ts"

/** Short requests, one for each way in which a body is framed. */
const short = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy",
  "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nxy\r\n0\r\nT: 1\r\n\r\n"
]

// Making a text takes longer than changing it.
const perText = 500

/** Tries so many cases and gives their number; a case is one text under one cutting. Fails at the first that is read in two ways. */
export const readInTwoWays = (cases: number, seed: number, first = short): number => {
  let tried = 0
  for (const text of first) {
    for (const changed of everyChange(text)) {
      const slow = readSlowly(changed)
      for (let at = 1; at <= changed.length; at += 1) {
        agrees(changed, [at, changed.length], at % 2 === 0, slow)
        tried += 1
        if (tried === cases) return tried
      }
    }
  }
  const chance = chanceOf(seed)
  for (let nth = 0; ; nth += 1) {
    const made = fc.sample(good, { numRuns: 2, seed: seed + nth })
    const text = made.map((each) => each.text).join("")
    for (let turn = 0; turn < perText; turn += 1) {
      let changed = text
      for (let left = between(chance, 1, 3); left > 0; left -= 1) changed = changedSomewhere(changed, chance)
      if (turn % 2 === 0) changed += probe
      agrees(changed, [between(chance, 1, changed.length + 1), between(chance, 1, 40)], chance() < 0.5)
      tried += 1
      if (tried === cases) return tried
    }
  }
}
