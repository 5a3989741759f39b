/**
 * The live page of the gateway itself: how its requests are told from those of other pages, and the cookie in which it keeps
 * a key that no script can read.
 */

/** The path of the live page; its files stand below it. */
export const uiPath = "/ui"

/** Where it signs in and out. */
export const sessionPath = `${uiPath}/session`

/** Whether a path is one of the live page or its files, which tell nothing. */
export const isUi = (path: string): boolean =>
  (path === uiPath || path.startsWith(`${uiPath}/`)) && path !== sessionPath

// A cookie knows no port: two gateways on one machine would take each other's.
const cookieName = ({ headers }: Request): string =>
  `nexus-key-${/:(\d{1,5})$/.exec(headers.get("host") ?? "")?.[1] ?? "0"}`

/** Whether a request comes from a page of the very place that it is sent to: its port as well, which cookies do not tell. */
export const isOwnPage = ({ headers }: Request): boolean => {
  const origin = headers.get("origin")
  const host = headers.get("host") ?? ""
  return origin !== null && host !== "" && (origin === `http://${host}` || origin === `https://${host}`)
}

/** Whether a request changes nothing. */
export const isRead = ({ method }: Request): boolean => method === "GET" || method === "HEAD"

// A page of another port sends it along, and can read no answer: what changes something has to come from here.
const mayUseCookie = (request: Request): boolean =>
  request.headers.has("origin") ? isOwnPage(request) : isRead(request)

/** The key that the page keeps; undefined where there is none, or it is none of the page's requests. */
export const keyInCookie = (request: Request): string | undefined => {
  const cookies = request.headers.get("cookie")
  if (cookies === null || !mayUseCookie(request)) return undefined
  const prefix = `${cookieName(request)}=`
  for (const part of cookies.split(";")) {
    const text = part.trim()
    if (!text.startsWith(prefix)) continue
    try {
      return decodeURIComponent(text.slice(prefix.length)) || undefined
    } catch {
      return undefined
    }
  }
  return undefined
}

// A month.
const keptSeconds = 30 * 24 * 3600

const cookieOf = (request: Request, key: string): string => {
  const isSecure = request.headers.get("x-forwarded-proto") === "https" || request.url.startsWith("https:")
  return [
    `${cookieName(request)}=${encodeURIComponent(key)}`,
    "Path=/",
    "HttpOnly",
    "SameSite=Strict",
    `Max-Age=${key === "" ? 0 : keptSeconds}`,
    ...(isSecure ? ["Secure"] : [])
  ].join("; ")
}

/** The key in an `Authorization`. */
export const bearer = /^bearer +(\S+)$/i

/**
 * Answers at {@link sessionPath} whoever has been let in: tells the page what there is to know of it, has the browser keep the
 * key that was given, or forget it.
 */
export const sessionAnswer = (request: Request, facts: object): Response => {
  const { headers, method } = request
  if (isRead(request)) return Response.json(facts, { headers: { "cache-control": "no-store" } })
  if (method !== "POST" && method !== "DELETE")
    return new Response(null, { status: 405, headers: { allow: "GET, POST, DELETE" } })
  const key = method === "POST" ? (bearer.exec(headers.get("authorization") ?? "")?.[1] ?? "") : ""
  return new Response(null, {
    status: 204,
    headers: { "set-cookie": cookieOf(request, key), "cache-control": "no-store" }
  })
}
