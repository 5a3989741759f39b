/**
 * A backend: a server that Nexus calls, of a kind.
 */
import { contextOf, type Model, type Served, type Server } from "../domain/server.ts"
import { type BackendType, kindNamed } from "./all.ts"
import { type Beyond, beyondOf, isMain, isNative, type Speaker, type Speaking } from "./speech.ts"

/** The definition of a backend. */
export interface Backend extends Server {
  readonly type: BackendType
}

/** Whether a backend is the service that made its dialect up. */
export const isOriginal = (backend: Backend): boolean => kindNamed(backend.type).isOriginal?.(backend) === true

// Another gateway may be set up as a cloud: what it has of Google's wants back what Google has signed.
const ofGoogle = /gemini/i

/** Whether a backend refuses a message for this model with a field that is another service's. */
export const isStrict = (backend: Backend, { id }: Pick<Model, "id">): boolean =>
  kindNamed(backend.type).isStrict?.(backend) === true && !ofGoogle.test(id)

const speakingOf = (backend: Backend): Speaking => {
  const { speaks, speaksAt } = kindNamed(backend.type)
  return speaksAt?.(backend) ?? speaks
}

/** What a backend speaks, by its kind, its setting, and what it has shown of itself. */
export const speakerOf = (backend: Backend, served: Served | undefined): Speaker => ({
  speaking: speakingOf(backend),
  native: backend.native,
  original: isOriginal(backend),
  served
})

/** Whether a backend is asked for an operation in the dialect of this id, if that is what its client speaks. */
export const isSpokenNatively = (
  backend: Backend,
  served: Served | undefined,
  dialect: string,
  operation: string
): boolean =>
  isMain(speakingOf(backend), dialect, operation) || isNative(speakerOf(backend, served), { dialect, operation })

/** What is beyond a backend that is asked for an operation in its client's own dialect. */
export const beyondBackend = (
  backend: Backend,
  served: Served | undefined,
  dialect: string,
  operation: string
): Beyond | undefined =>
  isMain(speakingOf(backend), dialect, operation)
    ? undefined
    : beyondOf(speakerOf(backend, served), { dialect, operation })

/** Whether a server may have to load a model that is asked for: its kind does, or it tells of each whether it is in memory. */
export const mayLoad = (type: BackendType, { loaded }: Pick<Model, "loaded">): boolean =>
  loaded !== undefined || kindNamed(type).loadsOnDemand

/** How many requests a kind of server is given at a time while nothing is known of its slots. */
export const slotsAtFirst = (type: BackendType): number => kindNamed(type).slotsAtFirst

/** Whether the slots that a kind of server tells of are those that were busy at most, so that it may have more. */
export const showsSlots = (type: BackendType): boolean => kindNamed(type).showsSlots === true

/** The field that names a slot to a kind of server; undefined where none does. */
export const slotFieldOf = (type: BackendType): string | undefined => kindNamed(type).slotField

/** How many slots of a model can be named to a server, by its own word; 0 where there is nothing to choose, or it is of no use. */
export const namedSlots = ({ type }: Pick<Backend, "type">, { slots = 0, slotsConfigured, slotsKeep }: Model): number =>
  slots > 1 && slotsConfigured !== true && slotsKeep !== false && slotFieldOf(type) !== undefined ? slots : 0

/** What is lost of a server's cache since its slots do not keep what they hold, and what would mend it; undefined where they do. */
export const slotAdvice = (
  { type }: Pick<Backend, "type">,
  { slots = 0, slotsKeep }: Model
): { readonly seen: string; readonly fix: string } | undefined =>
  slots > 1 && slotsKeep === false ? kindNamed(type).advice.unlessSlotsKeep : undefined

/** Whether a model's context is not known yet, and may be as soon as the model has answered. */
export const isUnmeasured = ({ type }: Pick<Backend, "type">, model: Model): boolean =>
  kindNamed(type).loadsOnDemand && contextOf(model) === undefined

/** Whether a backend is told the tools of translated requests in an order of their own. */
export const sortsTools = ({ sortTools, type }: Backend): boolean => sortTools ?? locality(type) === "local"

/** `cloud` for a backend outside the user's machines, `local` for the rest (header `x-nexus-backend-type`). */
export const locality = (type: BackendType): "local" | "cloud" => kindNamed(type).locality
