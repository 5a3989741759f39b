/**
 * One request: why it went where it went, and what took how long.
 */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { DecisionEntry, Explained, ExplainedUnderWay, RequestsUnderWayList } from "../api/admin-api.ts"
import { slotsText } from "../api/slots-text.ts"
import { callApi } from "./call-api.ts"
import { usePageFacts } from "./page-facts.ts"
import { TimeLine } from "./time-line-view.tsx"
import { useAnswer } from "./use-answer.ts"
import { dateOf, number, span } from "./words.ts"

type Told = Explained | ExplainedUnderWay

type Candidate = DecisionEntry["candidates"][number]

const expectations: ReadonlyArray<{ readonly title: string; readonly of: (candidate: Candidate) => string }> = [
  { title: "Expected", of: ({ expected_ms: expected }) => (expected === undefined ? "–" : span(expected)) },
  { title: "Wait", of: ({ parts }) => (parts === undefined ? "–" : span(parts.wait_ms)) },
  { title: "Load", of: ({ parts }) => (parts === undefined ? "–" : span(parts.load_ms)) },
  { title: "Read", of: ({ parts }) => (parts === undefined ? "–" : span(parts.read_ms)) },
  { title: "Write", of: ({ parts }) => (parts === undefined ? "–" : span(parts.write_ms)) },
  { title: "Cached", of: ({ parts }) => (parts === undefined ? "–" : number(parts.cached_tokens)) }
]

// Of its model, while what is in flight is all that the backend has.
const slotWords = ({ slots, slots_from: from }: Candidate): string =>
  slots === undefined || from === undefined ? "" : `, slots ${slotsText([{ slots, from }])}`

interface CandidatesProps {
  readonly decision: DecisionEntry
  readonly line: Told["time_line"]
}

const Candidates = ({ decision, line = [] }: CandidatesProps): JSX.Element => {
  const { excluded, strategy } = decision
  // What was decided at first need not be what came of it: one that waits is decided anew.
  const asked = line.filter((part) => part.part === "attempt")
  const placeOf = ({ backend, model }: Pick<Candidate, "backend" | "model">): number =>
    asked.findIndex((each) => each.backend === backend && each.model === model)
  const askedAs = (place: number): string => (place < 0 ? "–" : String(place + 1))
  // Those that were not asked stand last.
  const candidates = decision.candidates
    .map((each) => ({ ...each, place: placeOf(each) }))
    .toSorted((a, b) => (a.place < 0 ? 1 : b.place < 0 ? -1 : a.place - b.place))
  const isExpected = candidates.some(
    ({ expected_ms: expected, parts }) => expected !== undefined || parts !== undefined
  )
  return (
    <>
      <h3>
        Who could answer{isExpected ? ", and when its end was expected" : ""} ({strategy})
      </h3>
      <div class="wide" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col">Asked</th>
              <th scope="col">Backend</th>
              {isExpected
                ? expectations.map(({ title }) => (
                    <th key={title} scope="col">
                      {title}
                    </th>
                  ))
                : null}
              <th scope="col">In flight</th>
            </tr>
          </thead>
          <tbody>
            {candidates.map((candidate) => {
              const { backend, in_flight: busy, model, place, priority } = candidate
              return (
                <tr key={`${backend} ${model}`} class={place === 0 ? "first" : ""}>
                  <td>{askedAs(place)}</td>
                  <td>
                    {backend}{" "}
                    <span class="dim">
                      {model}, priority {priority}
                      {slotWords(candidate)}
                    </span>
                  </td>
                  {isExpected ? expectations.map(({ of, title }) => <td key={title}>{of(candidate)}</td>) : null}
                  <td>{busy}</td>
                </tr>
              )
            })}
            {excluded.map((one) => {
              const { backend, model, reason } = one
              const place = placeOf(one)
              return (
                <tr key={`${backend} ${model} out`} class="out">
                  <td>{askedAs(place)}</td>
                  <td>
                    {backend} <span class="dim">{model}</span>
                  </td>
                  <td colSpan={isExpected ? expectations.length + 1 : 1}>
                    left out{place < 0 ? "" : " at first"}: {reason}
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </>
  )
}

const Facts = ({ told }: { readonly told: Told }): JSX.Element => {
  const { request } = told
  const { failures, hedge } = request
  return (
    <>
      <dl class="facts">
        <dt>Began</dt>
        <dd>{dateOf(request.at)}</dd>
        <dt>State</dt>
        <dd>
          {"phase" in request
            ? `${request.phase} for ${span(request.phase_ms)}`
            : `${request.outcome}, ${request.status}`}
        </dd>
        {"refusal" in request && request.refusal !== undefined ? (
          <>
            <dt>Refused for</dt>
            <dd>{request.refusal}</dd>
          </>
        ) : null}
        <dt>Asked for</dt>
        <dd>
          {request.model === "" ? "–" : request.model} at {request.endpoint}
          {request.stream ? ", streamed" : ""}
        </dd>
        <dt>{request.first_byte_ms === null ? "Asked last" : "Answered by"}</dt>
        <dd>{request.backend === "" ? "nobody" : `${request.backend} (${request.upstream_model})`}</dd>
        {request.key === undefined ? null : (
          <>
            <dt>Key</dt>
            <dd>{request.key}</dd>
          </>
        )}
        {told.decision?.rule?.name == null ? null : (
          <>
            <dt>Rule</dt>
            <dd>{told.decision.rule.name}</dd>
          </>
        )}
      </dl>
      <TimeLine told={told} />
      {failures.length === 0 ? null : (
        <>
          <h3>Attempts that failed</h3>
          <ol>
            {failures.map(({ backend, model, reason }, at) => (
              <li key={at}>
                {backend} <span class="dim">{model}</span>: {reason}
              </li>
            ))}
          </ol>
        </>
      )}
      {(request.hooks ?? []).map(({ action, calls, hook, phase }) => (
        <p key={`${hook} ${phase}`}>
          Hook {hook} was shown the {phase}
          {calls > 1 ? ` in ${calls} windows` : ""}: {action}.
        </p>
      ))}
      {hedge === undefined ? null : (
        <p>
          Its first token was late: {hedge.backend} was asked too after {span(hedge.after_ms)}
          {hedge.outcome === null ? "" : `, and ${hedge.outcome}`}.
        </p>
      )}
    </>
  )
}

// What is under way goes on while somebody looks.
const againMs = 1000

/** The request with this id. */
export const RequestDetail = ({
  id,
  isUnderWay
}: {
  readonly id: string
  readonly isUnderWay: boolean
}): JSX.Element => {
  const path = `/admin/v1/${isUnderWay ? "requests" : "decisions"}/${encodeURIComponent(id)}`
  const found = useAnswer<Told>(() => path, [path], isUnderWay ? againMs : 0)
  const [said, setSaid] = useState("")
  const { may_change: mayChange } = usePageFacts()
  const cancel = async (): Promise<void> => {
    const answer = await callApi<RequestsUnderWayList>("DELETE", `/admin/v1/requests/${encodeURIComponent(id)}`)
    setSaid(answer._tag === "Done" ? "cancelled" : answer.message)
  }
  return (
    <section class="detail" aria-label={`Request ${id}`}>
      <div class="bar">
        <h2>{id}</h2>
        {isUnderWay && mayChange ? (
          <button type="button" onClick={() => void cancel()}>
            cancel
          </button>
        ) : null}
        {said === "" ? null : <span role="status">{said}</span>}
        <a href="#/requests" aria-label="Close">
          ✕
        </a>
      </div>
      {found === undefined ? <p class="dim">…</p> : null}
      {found?._tag === "Refused" ? <p class="why">{found.message}</p> : null}
      {found?._tag === "Done" ? <Facts told={found.value} /> : null}
      {found?._tag === "Done" && found.value.decision !== null ? (
        <Candidates decision={found.value.decision} line={found.value.time_line} />
      ) : null}
    </section>
  )
}
