/**
 * Where clients of Vertex AI ask a model: below a project and a place, or neither, under the model's publisher.
 */

const asked = /^(?:\/v1(?:beta1)?)?(?:\/projects\/[^/]+\/locations\/[^/]+)?\/publishers\/([a-z]+)\/models\/(.+)$/

/** What stands behind the models of a publisher in a path of Vertex AI; undefined where it is none of them. */
export const askedOfPublisher = (publisher: string, method: string, path: string): string | undefined => {
  // Others are not looked at letter by letter.
  if (method !== "POST" || !path.includes("/publishers/")) return undefined
  const [, whose, rest] = asked.exec(path) ?? []
  return whose === publisher ? rest : undefined
}
