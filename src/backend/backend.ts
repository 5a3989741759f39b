/**
 * A backend: a server that Nexus calls, of a kind.
 */
import { contextOf, type Model, type Server } from "../domain/server.ts"
import { type BackendType, kindNamed } from "./all.ts"

/** The definition of a backend. */
export interface Backend extends Server {
  readonly type: BackendType
}

/** Whether a model's context is not known yet, and may be as soon as the model has answered. */
export const isUnmeasured = ({ type }: Pick<Backend, "type">, model: Model): boolean =>
  kindNamed(type).loadsOnDemand && contextOf(model) === undefined

/** `cloud` for a backend outside the user's machines, `local` for the rest (header `x-nexus-backend-type`). */
export const locality = (type: BackendType): "local" | "cloud" => kindNamed(type).locality
