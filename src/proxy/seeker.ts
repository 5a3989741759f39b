/**
 * Who a request is from and how urgent it is, for those that wait.
 */
import { crc32 } from "node:zlib"
import { priorityClasses, type PriorityClass, sessionNamed } from "../domain/request.ts"
import type { Grant } from "../domain/grant.ts"
import type { RuledRequest } from "../router/route-table.ts"
import type { RequestRecord } from "./record.ts"
import type { SlotSeeker } from "./slot-queue.ts"

/** What tells requests apart that wait. */
export interface SeekerRules {
  /** Headers that tell conversations apart; the first that is there counts. */
  readonly sessionHeaders: ReadonlyArray<string>
}

/** A request, as far as its client tells how urgent it is and what it belongs to. */
export interface SlotCaller {
  readonly grant: Grant | undefined
  readonly request: RuledRequest["request"]
}

const priorityHeader = "x-nexus-priority"

const isClass = (text: string): text is PriorityClass => priorityClasses.some((each) => each === text)

/** The class of a request: that of its key, or the lesser one that it asks for; without keys whichever it asks for. */
export const priorityOf = ({ grant, request }: SlotCaller): PriorityClass => {
  const usual = grant?.priority ?? "normal"
  const asked = request.headers.get(priorityHeader)?.trim().toLowerCase()
  if (asked === undefined || !isClass(asked)) return usual
  const isMore = priorityClasses.indexOf(asked) < priorityClasses.indexOf(usual)
  return isMore && grant !== undefined ? usual : asked
}

/** What stands for the conversation of a request where a header tells it; 0 otherwise. */
export const sessionOf = ({ request }: SlotCaller, { sessionHeaders }: SeekerRules): number => {
  const session = sessionNamed(request.headers, sessionHeaders)
  return session === undefined ? 0 : crc32(session) || 1
}

/** Who would ask for a slot whose request is known by this alone. */
export const likeSeeker = (
  caller: SlotCaller,
  rules: SeekerRules
): Pick<SlotSeeker, "key" | "priority" | "session"> => ({
  key: caller.grant?.name ?? "",
  priority: priorityOf(caller),
  session: sessionOf(caller, rules)
})

/** Who asks for a slot. */
export const seekerOf = (
  record: RequestRecord,
  rules: SeekerRules
): Pick<SlotSeeker, "key" | "priority" | "session"> => {
  const like = likeSeeker(record, rules)
  return like.session === 0 ? { ...like, session: record.decided?.work.chain?.root ?? 0 } : like
}
