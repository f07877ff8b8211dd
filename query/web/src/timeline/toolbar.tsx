import {
  ChevronDown,
  ChevronsDownUp,
  ChevronsUpDown,
  ChevronUp,
  CircleAlert,
  Maximize2,
  Route,
  Search,
  ZoomIn,
  ZoomOut,
} from "lucide-react";
import type { Ref } from "react";
import { plural } from "~/state/format";
import { hueOf } from "./colors";
import { type LogsShown, type Model, zoomed } from "./model";
import type { TimelineState } from "./timeline";
import css from "./timeline.module.css";

interface Props {
  model: Model;
  state: TimelineState;
  matches: number;
  wide: boolean;
  searchRef: Ref<HTMLInputElement>;
  onChange: (change: Partial<TimelineState>) => void;
  onStep: (direction: 1 | -1) => void;
  onError: () => void;
  onCollapse: (all: boolean) => void;
}

const LOGS: readonly { value: LogsShown; label: string }[] = [
  { value: "all", label: "All" },
  { value: "warnings", label: "Warnings" },
  { value: "none", label: "Off" },
];

export function Toolbar(props: Props) {
  const { model, state, onChange } = props;
  const errors = model.trace.failed_spans + model.marks.filter((mark) => mark.level === "error").length;
  const view = state.view ?? model.extent;
  return (
    <div className={css.toolbar} role="toolbar" aria-label="Timeline">
      <Find {...props} />
      <fieldset className={css.segments}>
        <legend className={css.legend}>Logs</legend>
        {LOGS.map(({ value, label }) => (
          <button
            key={value}
            type="button"
            aria-pressed={state.logs === value}
            className={css.segment}
            onClick={() => onChange({ logs: value })}
          >
            {label}
          </button>
        ))}
      </fieldset>
      <button
        type="button"
        className={css.tool}
        aria-pressed={state.criticalOnly}
        title="Only what lies on the critical path"
        disabled={!model.trace.critical_path.length}
        onClick={() => onChange({ criticalOnly: !state.criticalOnly })}
      >
        <Route size={14} aria-hidden="true" />
        Critical path
      </button>
      {errors > 0 && (
        <button
          type="button"
          className={`${css.tool} ${css.errors}`}
          title="Next error (e)"
          onClick={props.onError}
        >
          <CircleAlert size={14} aria-hidden="true" />
          {plural(errors, "error")}
        </button>
      )}
      <span className={css.spacer} />
      {props.wide && <Legend model={model} />}
      <span className={css.group}>
        <Icon label="Collapse all" onClick={() => props.onCollapse(true)} icon={ChevronsDownUp} />
        <Icon label="Expand all" onClick={() => props.onCollapse(false)} icon={ChevronsUpDown} />
        <Icon
          label="Zoom in (+)"
          onClick={() => onChange({ view: zoomed(view, model.extent, 0.5) })}
          icon={ZoomIn}
        />
        <Icon
          label="Zoom out (-)"
          onClick={() => onChange({ view: zoomed(view, model.extent, 2) })}
          icon={ZoomOut}
        />
        <Icon
          label="Show all of the time (0)"
          disabled={!state.view}
          onClick={() => onChange({ view: null })}
          icon={Maximize2}
        />
      </span>
    </div>
  );
}

function Find({ state, matches, searchRef, onChange, onStep }: Props) {
  return (
    <search className={css.find}>
      <Search size={14} aria-hidden="true" />
      <input
        ref={searchRef}
        type="search"
        data-hotkey="search"
        aria-label="Find in this trace"
        placeholder="Find in this trace"
        value={state.query}
        onChange={(event) => onChange({ query: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            onStep(event.shiftKey ? -1 : 1);
          } else if (event.key === "Escape") {
            onChange({ query: "" });
          }
        }}
      />
      {state.query && (
        <>
          <output className={css.hits}>{matches}</output>
          <Icon label="Match before" onClick={() => onStep(-1)} icon={ChevronUp} />
          <Icon label="Next match" onClick={() => onStep(1)} icon={ChevronDown} />
        </>
      )}
    </search>
  );
}

function Legend({ model }: { model: Model }) {
  return (
    <ul className={css.services} aria-label="Services">
      {model.services.slice(0, 6).map((service) => (
        <li key={service} style={{ ["--hue" as string]: hueOf(model.services, service) }}>
          <span className={css.swatch} />
          {service}
        </li>
      ))}
      {model.services.length > 6 && <li>+{model.services.length - 6}</li>}
    </ul>
  );
}

interface IconProps {
  label: string;
  icon: typeof Search;
  disabled?: boolean;
  onClick: () => void;
}

function Icon({ label, icon: Shape, disabled, onClick }: IconProps) {
  return (
    <button
      type="button"
      className={css.icon}
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onClick}
    >
      <Shape size={15} aria-hidden="true" />
    </button>
  );
}
