import { Popover } from "@base-ui/react/popover";
import { ChevronDown, ChevronLeft, ChevronRight, Clock } from "lucide-react";
import { type FormEvent, useState } from "react";
import { describe, FORMS, parseTime, QUICK, type Range, resolve } from "~/state/time";
import { useRange, useUrl } from "~/state/url";
import css from "./range-picker.module.css";

/** The time range of the page: always in sight, the same forms as on the command line. */
export function RangePicker({ since }: { since: string }) {
  const url = useUrl();
  const range = useRange(since);
  const [open, setOpen] = useState(false);
  const set = (next: Range) => {
    url.set({ since: next.since, until: next.until === "now" ? null : next.until });
    setOpen(false);
  };
  const now = new Date();
  const moments = resolve(range, now);
  const shift = (direction: 1 | -1) => {
    if (moments) {
      const length = moments.until.getTime() - moments.since.getTime();
      const until = Math.min(moments.until.getTime() + direction * length, now.getTime());
      set({ since: new Date(until - length).toISOString(), until: new Date(until).toISOString() });
    }
  };
  return (
    <div className={css.picker}>
      <button
        type="button"
        className={css.step}
        aria-label="Earlier"
        title="Earlier"
        onClick={() => shift(-1)}
      >
        <ChevronLeft size={15} aria-hidden="true" />
      </button>
      <Popover.Root open={open} onOpenChange={setOpen}>
        <Popover.Trigger
          className={css.trigger}
          aria-label={`Time range: ${describe(range, now)}`}
          data-testid="range"
        >
          <Clock size={14} aria-hidden="true" />
          <span className="ellipsis">{describe(range, now)}</span>
          <ChevronDown size={14} aria-hidden="true" />
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Positioner className="positioner" sideOffset={6} align="end" collisionPadding={8}>
            <Popover.Popup className={`popup ${css.popup}`} aria-label="Time range">
              <ul className={css.quick}>
                {QUICK.map((one) => (
                  <li key={one.since}>
                    <button
                      type="button"
                      className="menu-item"
                      aria-current={range.until === "now" && range.since === one.since}
                      onClick={() => set({ since: one.since, until: "now" })}
                    >
                      {one.label}
                    </button>
                  </li>
                ))}
              </ul>
              <Exact key={`${range.since} ${range.until}`} range={range} onSet={set} />
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
      <button
        type="button"
        className={css.step}
        aria-label="Later"
        title="Later"
        disabled={range.until === "now"}
        onClick={() => shift(1)}
      >
        <ChevronRight size={15} aria-hidden="true" />
      </button>
    </div>
  );
}

function Exact({ range, onSet }: { range: Range; onSet: (range: Range) => void }) {
  const [since, setSince] = useState(local(range.since));
  const [until, setUntil] = useState(local(range.until));
  const now = new Date();
  const moments = resolve({ since, until }, now);
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    if (moments) {
      onSet({ since: exact(since), until: exact(until) });
    }
  };
  return (
    <form className={css.exact} onSubmit={onSubmit}>
      <Moment label="From" value={since} now={now} onChange={setSince} />
      <Moment label="To" value={until} now={now} onChange={setUntil} />
      <p className={css.forms}>{FORMS}</p>
      <div className="line">
        <button type="submit" className="button" data-primary disabled={!moments}>
          Apply
        </button>
        {!moments && <span className="bad">From must be before to.</span>}
      </div>
      <p className={css.forms}>Times are in {Intl.DateTimeFormat().resolvedOptions().timeZone}.</p>
    </form>
  );
}

interface MomentProps {
  label: string;
  value: string;
  now: Date;
  onChange: (value: string) => void;
}

function Moment({ label, value, now, onChange }: MomentProps) {
  const moment = parseTime(value, now);
  return (
    <label className={css.moment}>
      <span>{label}</span>
      <input
        className="input"
        value={value}
        aria-invalid={!moment}
        spellCheck={false}
        onChange={(event) => onChange(event.target.value)}
      />
      <span className={moment ? "soft" : "bad"}>
        {moment ? moment.toLocaleString("en-GB") : "not a time"}
      </span>
    </label>
  );
}

/** An ISO moment as a person writes it: in the zone here. */
function local(text: string): string {
  if (!/^\d{4}-.*Z$/.test(text)) {
    return text;
  }
  const moment = new Date(text);
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19).replace("T", " ");
}

/** A date as a moment that is the same everywhere; words stay, since they move on. */
function exact(text: string): string {
  const moment = /^\d{4}-/.test(text.trim()) ? parseTime(text, new Date()) : null;
  return moment ? moment.toISOString() : text.trim();
}
