/**
 * What an endpoint answers, asked once, and again and again while somebody sees it.
 */
import { useEffect, useState } from "preact/hooks"
import { type Answered, callApi } from "./call-api.ts"

/**
 * The answer; undefined before it came. `path` is made at each time anew; another one is asked for when `of` is another, and
 * `everyMs` after the last, 0 for never.
 */
export const useAnswer = <A>(path: () => string, of: ReadonlyArray<unknown>, everyMs = 0): Answered<A> | undefined => {
  const [answer, setAnswer] = useState<Answered<A> | undefined>(undefined)
  useEffect(() => {
    let isOver = false
    const look = (): void => {
      void callApi<A>("GET", path()).then((found) => {
        if (!isOver) setAnswer(found)
      })
    }
    look()
    const again = (): void => {
      if (!document.hidden) look()
    }
    const timer = everyMs === 0 ? undefined : setInterval(again, everyMs)
    return () => {
      isOver = true
      clearInterval(timer)
    }
  }, of)
  return answer
}
