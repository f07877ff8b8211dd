import { Autocomplete } from "@base-ui/react/autocomplete";
import { Plus, SlidersHorizontal, X } from "lucide-react";
import { type FormEvent, type ReactNode, useEffect, useId, useState } from "react";
import { useUrl } from "~/state/url";
import css from "./filters.module.css";

/** The filters of a page, which live in its address. */
export function Filters({ children, names }: { children: ReactNode; names: readonly string[] }) {
  const url = useUrl();
  const [open, setOpen] = useState(false);
  const active = names.filter((name) => url.get(name)).length;
  return (
    <search className={css.filters} aria-label="Filters" data-open={open || undefined}>
      <button
        type="button"
        className={`button ${css.toggle}`}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <SlidersHorizontal size={14} aria-hidden="true" />
        Filters{active ? ` (${active})` : ""}
      </button>
      {children}
      {active > 0 && (
        <button
          type="button"
          className={`button ${css.clear}`}
          data-plain
          onClick={() => url.set(Object.fromEntries(names.map((name) => [name, null])))}
        >
          <X size={14} aria-hidden="true" />
          Clear
        </button>
      )}
    </search>
  );
}

interface TextProps {
  name: string;
  label: string;
  placeholder?: string;
  suggestions?: readonly string[];
  wide?: boolean;
  hotkey?: boolean;
  onFocus?: () => void;
}

/** A filter that is typed, with suggestions where there are some; Enter or leaving the field takes it. */
export function TextFilter({
  name,
  label,
  placeholder = "any",
  suggestions,
  wide,
  hotkey,
  onFocus,
}: TextProps) {
  const url = useUrl();
  const id = useId();
  const current = url.get(name);
  const [draft, setDraft] = useState(current);
  useEffect(() => setDraft(current), [current]);
  const take = (value: string) => {
    if (value.trim() !== current) {
      url.set({ [name]: value.trim() || null });
    }
  };
  const shared = {
    id,
    className: "input",
    placeholder,
    autoComplete: "off",
    spellCheck: false,
    "data-active": current ? true : undefined,
    "data-hotkey": hotkey ? "search" : undefined,
    onFocus,
    onBlur: () => take(draft),
    onKeyDown: (event: React.KeyboardEvent) => {
      if (event.key === "Enter" && !event.defaultPrevented) {
        take(draft);
      } else if (event.key === "Escape") {
        setDraft(current);
      }
    },
  };
  return (
    <div className={wide ? `${css.field} ${css.wide}` : css.field}>
      <label htmlFor={id}>{label}</label>
      {suggestions ? (
        <Suggesting
          value={draft}
          onDraft={setDraft}
          onTake={take}
          suggestions={suggestions}
          shared={shared}
        />
      ) : (
        <input
          type={hotkey ? "search" : "text"}
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          {...shared}
        />
      )}
    </div>
  );
}

interface SuggestingProps {
  value: string;
  suggestions: readonly string[];
  shared: Record<string, unknown>;
  onDraft: (value: string) => void;
  onTake: (value: string) => void;
}

function Suggesting({ value, suggestions, shared, onDraft, onTake }: SuggestingProps) {
  return (
    <Autocomplete.Root
      items={suggestions}
      value={value}
      openOnInputClick
      onValueChange={(next: string, details: { reason: string }) => {
        onDraft(next);
        if (details.reason === "item-press") {
          onTake(next);
        }
      }}
    >
      <Autocomplete.Input {...shared} />
      <Autocomplete.Portal>
        <Autocomplete.Positioner className="positioner" sideOffset={4} align="start">
          <Autocomplete.Popup className={`popup ${css.popup}`}>
            <Autocomplete.List>
              {(item: string) => (
                <Autocomplete.Item key={item} value={item} className="menu-item">
                  {item}
                </Autocomplete.Item>
              )}
            </Autocomplete.List>
          </Autocomplete.Popup>
        </Autocomplete.Positioner>
      </Autocomplete.Portal>
    </Autocomplete.Root>
  );
}

interface ChoiceProps {
  name: string;
  label: string;
  choices: readonly (readonly [string, string])[];
}

export function ChoiceFilter({ name, label, choices }: ChoiceProps) {
  const url = useUrl();
  const id = useId();
  return (
    <div className={css.field}>
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className={`input ${css.select}`}
        value={url.get(name)}
        data-active={url.get(name) ? true : undefined}
        onChange={(event) => url.set({ [name]: event.target.value || null })}
      >
        {choices.map(([value, shown]) => (
          <option key={value} value={value}>
            {shown}
          </option>
        ))}
      </select>
    </div>
  );
}

const FORM = /^[^\s=!<>~][^=!<>~]*?\s*(=|!=|>=|<=|>|<|~)\s*.*$/;

/** Conditions on attributes, as many as one likes: `context.chunk_size=512`. */
export function WhereFilter({ suggestions = [] }: { suggestions?: readonly string[] }) {
  const url = useUrl();
  const id = useId();
  const list = useId();
  const [draft, setDraft] = useState("");
  const wrong = draft.trim() !== "" && !FORM.test(draft.trim());
  const conditions = url.all("where");
  const add = (event: FormEvent) => {
    event.preventDefault();
    const text = draft.trim();
    if (text && !wrong) {
      url.set({ where: [...conditions.filter((one) => one !== text), text] });
      setDraft("");
    }
  };
  return (
    <div className={`${css.field} ${css.wide}`}>
      <label htmlFor={id}>Where</label>
      <form className={css.where} onSubmit={add}>
        {conditions.map((condition) => (
          <span key={condition} className={css.condition}>
            <code>{condition}</code>
            <button
              type="button"
              aria-label={`Remove ${condition}`}
              onClick={() => url.set({ where: conditions.filter((one) => one !== condition) })}
            >
              <X size={12} aria-hidden="true" />
            </button>
          </span>
        ))}
        <input
          id={id}
          list={list}
          value={draft}
          placeholder={conditions.length ? "and …" : "chunk_size=512, model~gpt, duration_ms>500"}
          aria-invalid={wrong}
          title="Name, one of = != > >= < <= ~ and a value; Enter adds it"
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setDraft(event.target.value)}
        />
        <datalist id={list}>
          {suggestions.map((name) => (
            <option key={name} value={`${name}=`} />
          ))}
        </datalist>
        {draft && (
          <button type="submit" aria-label="Add the condition" disabled={wrong} className={css.add}>
            <Plus size={14} aria-hidden="true" />
          </button>
        )}
      </form>
    </div>
  );
}
