// A chart on uPlot: follows the width of its place and the colours of the page, and says in words what it shows.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

interface ChartProps {
  /** Seconds since the epoch. */
  times: number[]
  values: (number | null)[]
  /** What somebody who does not see it should know. */
  summary: string
  height: number
  kind: 'line' | 'bars'
  range: [min: number, max: number]
  /** Seconds since the epoch. */
  span: [from: number, to: number]
  format?: (value: number) => string
  /** Values at which the background changes its tone: below the first bad, below the second warn. */
  zones?: [bad: number, warn: number]
}

const gridDash = [2, 4]
const daySeconds = 86_400
const hourFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric' })
const atHour = (seconds: number) => hourFormat.format(new Date(seconds * 1000))
const onDay = (seconds: number) => dayFormat.format(new Date(seconds * 1000))

export function Chart(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot | undefined>(undefined)
  const latest = useRef(props)
  latest.current = props
  const { kind, height, times, values, span, range } = props

  useEffect(() => {
    const element = place.current
    if (!element) return
    const draw = () => {
      chart.current?.destroy()
      chart.current = new uPlot(optionsOf(latest.current, element), [latest.current.times, latest.current.values], element)
    }
    draw()
    const resized = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height }))
    resized.observe(element)
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', draw)
    return () => {
      scheme.removeEventListener('change', draw)
      resized.disconnect()
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [kind, height])

  useEffect(() => {
    const drawn = chart.current
    if (!drawn) return
    drawn.batch(() => {
      drawn.setData([times, values], false)
      drawn.setScale('x', { min: span[0], max: span[1] })
      drawn.setScale('y', { min: range[0], max: range[1] })
    })
  }, [times, values, span[0], span[1], range[0], range[1]])

  return <div ref={place} class="chart" role="img" aria-label={props.summary} />
}

function optionsOf({ kind, height, range, span, zones, format }: ChartProps, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: resolved(element, '--quiet'),
    grid: { stroke: resolved(element, '--line'), width: 1, dash: gridDash },
    ticks: { show: false },
    font: `12px ${colour('--sans') || 'system-ui'}`,
  }
  const stroke = resolved(element, '--accent')
  const drawBars = kind === 'bars' ? uPlot.paths.bars?.({ size: [0.7, 14], radius: 0.15 }) : undefined
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [10, 28, 0, 0],
    scales: { x: { time: true, min: span[0], max: span[1] }, y: { min: range[0], max: range[1] } },
    axes: [
      { ...axis, size: 24, space: 70, values: (_chart, ticks) => ticks.map(span[1] - span[0] > daySeconds ? onDay : atHour) },
      { ...axis, size: 40, space: 34, values: (_chart, ticks) => ticks.map((tick) => (format ? format(tick) : String(tick))) },
    ],
    series: [
      {},
      {
        stroke,
        width: kind === 'line' ? 2 : 0,
        fill: kind === 'line' ? resolved(element, '--accent-wash') : stroke,
        spanGaps: false,
        points: { show: kind === 'line' && zones !== undefined ? pointsWhenAlone : false, size: 5, fill: stroke, width: 0 },
        ...(drawBars ? { paths: drawBars } : {}),
      },
    ],
    hooks: zones ? { drawClear: [(chart: uPlot) => drawZones(chart, element, zones)] } : {},
  }
}

/** A single measurement would otherwise be no line at all. */
function pointsWhenAlone(chart: uPlot): boolean {
  return (chart.data[0]?.length ?? 0) < 3
}

function drawZones(chart: uPlot, element: HTMLElement, [bad, warn]: [number, number]): void {
  const { ctx, bbox } = chart
  const strip = (from: number, to: number, fill: string) => {
    const top = chart.valToPos(to, 'y', true)
    ctx.fillStyle = fill
    ctx.fillRect(bbox.left, top, bbox.width, chart.valToPos(from, 'y', true) - top)
  }
  ctx.save()
  strip(0, bad, resolved(element, '--bad-wash'))
  strip(bad, warn, resolved(element, '--warn-wash'))
  ctx.restore()
}

/** A canvas does not know light-dark(): the browser's own answer for an element does. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(${name})`
  element.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}
