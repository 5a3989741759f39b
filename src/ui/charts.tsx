/**
 * Figures over time: a large chart, and a line without axes.
 */
import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import uPlot from "uplot"
import { timeOf } from "./words.ts"

interface ChartProps {
  readonly label: string
  /** Seconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly lines: ReadonlyArray<{
    readonly name: string
    readonly values: ReadonlyArray<number>
    readonly color: string
  }>
}

const chartHeight = 160

// What is drawn is at least so long.
const leastSeconds = 60

const colorOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Lines over time. */
export const Chart = ({ at, label, lines }: ChartProps): JSX.Element => {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | undefined>(undefined)
  useEffect(() => {
    const element = place.current
    if (element === null) return undefined
    const axis = { stroke: () => colorOf("--dim"), grid: { stroke: () => colorOf("--line"), width: 1 } }
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: chartHeight,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_, first, last) => [Math.min(first, last - leastSeconds), last] },
          y: { range: (_, __, most) => [0, Math.max(1, most)] }
        },
        axes: [
          { ...axis, values: (_, seconds) => seconds.map((each) => timeOf(each * 1000)), space: 90 },
          { ...axis, size: 44 }
        ],
        series: [
          {},
          ...lines.map(({ color, name }) => ({
            label: name,
            width: 1.5,
            points: { show: false },
            stroke: () => colorOf(color)
          }))
        ]
      },
      [[...at], ...lines.map(({ values }) => [...values])],
      element
    )
    plot.current = made
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: chartHeight }))
    watcher.observe(element)
    return () => {
      watcher.disconnect()
      made.destroy()
    }
  }, [])
  useEffect(() => {
    plot.current?.setData([[...at], ...lines.map(({ values }) => [...values])])
  }, [at])
  const latest = lines.map(({ name, values }) => `${name} ${values.at(-1)?.toFixed(1) ?? "0"}`).join(", ")
  return (
    <figure class="chart">
      <figcaption>
        {lines.map(({ color, name }) => (
          <span key={name}>
            <i style={{ background: `var(${color})` }} /> {name}
          </span>
        ))}
      </figcaption>
      <div ref={place} role="img" aria-label={`${label}: ${latest}`} />
    </figure>
  )
}

const width = 120
const height = 24

/** A line of the last values. */
export const Spark = ({
  label,
  values
}: {
  readonly label: string
  readonly values: ReadonlyArray<number>
}): JSX.Element => {
  const most = Math.max(1, ...values)
  const step = width / Math.max(1, values.length - 1)
  const points = values.map(
    (value, place) => `${(place * step).toFixed(1)},${(height - (value / most) * (height - 2) - 1).toFixed(1)}`
  )
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(" ")} fill="none" vector-effect="non-scaling-stroke" />
    </svg>
  )
}
