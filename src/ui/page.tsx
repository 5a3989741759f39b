/**
 * The page: which view is shown, and what stands around it.
 */
import { render, type JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import { ConfigView } from "./config-view.tsx"
import { FleetView } from "./fleet-view.tsx"
import { follow, useLive, type Live } from "./live.ts"
import { ModelsView } from "./models-view.tsx"
import { PlaygroundView } from "./playground-view.tsx"
import { RequestsView } from "./requests-view.tsx"
import { SignIn } from "./sign-in.tsx"

const views = {
  fleet: "Fleet",
  requests: "Requests",
  models: "Models",
  playground: "Playground",
  config: "Config"
} as const

type View = keyof typeof views

const isView = (name: string): name is View => Object.hasOwn(views, name)

interface Place {
  readonly view: View
  readonly rest: string
}

const placeNow = (): Place => {
  const [, name = "", ...rest] = window.location.hash.split("/")
  return { view: isView(name) ? name : "fleet", rest: decodeURIComponent(rest.join("/")) }
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
  place: { rest, view }
}: {
  readonly live: Live
  readonly place: Place
}): JSX.Element => {
  if (fleet === undefined) return <p class="dim">Waiting for the gateway …</p>
  switch (view) {
    case "fleet":
      return <FleetView fleet={fleet} />
    case "requests":
      return <RequestsView fleet={fleet} chosen={rest} />
    case "models":
      return <ModelsView fleet={fleet} />
    case "playground":
      return <PlaygroundView fleet={fleet} />
    case "config":
      return <ConfigView fleet={fleet} />
  }
}

const App = (): JSX.Element => {
  const place = usePlace()
  const live = useLive()
  const { fleet, link } = live
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
          {linkWords[link]}
        </span>
      </header>
      <main>{link === "sign in" ? <SignIn /> : <ViewOf live={live} place={place} />}</main>
    </>
  )
}

const root = document.querySelector("#app")
if (root !== null) {
  follow()
  render(<App />, root)
}
