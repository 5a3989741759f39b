/**
 * The page: which view is shown, and what stands around it.
 */
import { render, type JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { OtherPlace } from "../api/page-places.ts"
import { ConfigView } from "./config-view.tsx"
import { DoctorView } from "./doctor-view.tsx"
import { FleetView } from "./fleet-view.tsx"
import { KeyHelp } from "./key-help.tsx"
import { heedKeys } from "./keyboard.ts"
import { KeysView } from "./keys-view.tsx"
import { follow, useLive, type Live } from "./live.ts"
import { ModelsView } from "./models-view.tsx"
import { PlaygroundView } from "./playground-view.tsx"
import { RequestsView } from "./requests-view.tsx"
import { askFacts, usePageFacts } from "./page-facts.ts"
import { SignIn, SignOut } from "./sign-in.tsx"
import { UsageView } from "./usage-view.tsx"
import { addressOf, placeWords } from "./words.ts"

const views = {
  fleet: "Fleet",
  requests: "Requests",
  models: "Models",
  playground: "Playground",
  usage: "Usage",
  keys: "Keys",
  config: "Config",
  doctor: "Doctor"
} as const

type View = keyof typeof views

const isView = (name: string): name is View => Object.hasOwn(views, name)

interface Place {
  readonly view: View
  readonly rest: string
  /** Whose requests are looked for, empty for all. */
  readonly of: string
}

// What people write behind the # by hand need not be well formed.
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const placeNow = (): Place => {
  const [path = "", query = ""] = window.location.hash.split("?")
  const [, name = "", ...rest] = path.split("/")
  const of = new URLSearchParams(query).get("of") ?? ""
  return { view: isView(name) ? name : "fleet", rest: decoded(rest.join("/")), of }
}

const usePlace = (): Place => {
  const [place, setPlace] = useState(placeNow)
  useEffect(() => {
    const moved = () => setPlace(placeNow())
    window.addEventListener("hashchange", moved)
    return () => window.removeEventListener("hashchange", moved)
  }, [])
  return place
}

const linkWords: Readonly<Record<Live["link"], string>> = {
  connecting: "connecting",
  open: "live",
  lost: "the gateway does not answer; trying again",
  "sign in": "signed out"
}

const ViewOf = ({
  live: { fleet },
  place: { of, rest, view }
}: {
  readonly live: Live
  readonly place: Place
}): JSX.Element => {
  if (fleet === undefined) return <p class="dim">Waiting for the gateway …</p>
  switch (view) {
    case "fleet":
      return <FleetView fleet={fleet} />
    case "requests":
      return <RequestsView fleet={fleet} chosen={rest} of={of} />
    case "models":
      return <ModelsView fleet={fleet} />
    case "playground":
      return <PlaygroundView fleet={fleet} />
    case "usage":
      return <UsageView />
    case "keys":
      return <KeysView />
    case "doctor":
      return <DoctorView />
    case "config":
      return <ConfigView fleet={fleet} />
  }
}

/** What stands where something is asked for that is at another place of the gateway. */
const Elsewhere = ({ place, what }: { readonly place: OtherPlace; readonly what: string }): JSX.Element => {
  const address = addressOf(place, window.location)
  return (
    <section class="plain" aria-label="Elsewhere">
      <p>
        {what} at {placeWords(place)}.
      </p>
      {address === undefined ? (
        <p class="dim">It is not reached from here: it listens on the gateway's own machine alone.</p>
      ) : (
        <p>
          <a href={address}>{address}</a>
        </p>
      )}
    </section>
  )
}

const App = (): JSX.Element => {
  const facts = usePageFacts()
  const place = usePlace()
  const live = useLive()
  const { fleet, link } = live
  const { administration, is_signed_in: isSignedIn, models, may_change: mayChange } = facts
  // Somebody may have signed in at another tab, and another config may let the page do something else.
  useEffect(() => void (link === "open" && askFacts()), [link, fleet?.config.generation])
  const main = (): JSX.Element => {
    if (administration !== null)
      return <Elsewhere place={administration} what="This gateway is administered, and seen at work," />
    if (link === "sign in") return <SignIn />
    if (models !== null && place.view === "playground") return <Elsewhere place={models} what="Models answer" />
    return <ViewOf live={live} place={place} />
  }
  return (
    <>
      <header class="top">
        <h1>
          Nexus <small>{fleet?.figures.version}</small>
        </h1>
        <nav aria-label="Views">
          {Object.entries(views).map(([name, title]) => (
            <a key={name} href={`#/${name}`} aria-current={place.view === name ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <span class={`link ${link.replace(" ", "-")}`} role="status">
          {administration === null ? linkWords[link] : "administered elsewhere"}
          {mayChange ? "" : ", to look at only"}
        </span>
        {isSignedIn && link !== "sign in" ? <SignOut /> : null}
        <KeyHelp />
      </header>
      <main>{main()}</main>
    </>
  )
}

const root = document.querySelector("#app")
if (root !== null) {
  follow()
  heedKeys()
  void askFacts()
  render(<App />, root)
}
