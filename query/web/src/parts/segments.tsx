import { useUrl } from "~/state/url";
import css from "./segments.module.css";

interface Props {
  name: string;
  label?: string;
  choices: readonly { value: string; label: string }[];
}

/** A few choices of which one holds; the empty value is what holds where the address says nothing. */
export function Segments({ name, label = "Show", choices }: Props) {
  const url = useUrl();
  const value = url.get(name);
  return (
    <fieldset className={css.segments}>
      <legend className="sr-only">{label}</legend>
      {choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          aria-pressed={value === choice.value}
          onClick={() => url.set({ [name]: choice.value || null })}
        >
          {choice.label}
        </button>
      ))}
    </fieldset>
  );
}
