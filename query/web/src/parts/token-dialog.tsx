import { Dialog } from "@base-ui/react/dialog";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useRef, useSyncExternalStore } from "react";
import { askForToken, isTokenWanted, onTokenWanted, setToken, token } from "~/state/token";
import css from "./dialogs.module.css";

/** Asks for the bearer token when the API wants one. */
export function TokenDialog() {
  const wanted = useSyncExternalStore(onTokenWanted, isTokenWanted);
  const client = useQueryClient();
  const field = useRef<HTMLInputElement>(null);
  const use = (value: string | null) => {
    setToken(value);
    client.resetQueries();
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    const value = field.current?.value.trim();
    if (value) {
      use(value);
    }
  };
  return (
    <Dialog.Root open={wanted} onOpenChange={(open) => askForToken(open)}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog" initialFocus={field}>
          <form onSubmit={onSubmit} className="stack">
            <Dialog.Title className={css.title}>Token</Dialog.Title>
            <Dialog.Description className="soft">
              {token()
                ? "The token of this tab is not accepted, or you want another one."
                : "This Ganglion wants to know who asks."}{" "}
              It stays in this tab and is forgotten with it.
            </Dialog.Description>
            <label className={css.field}>
              Bearer token
              <input
                ref={field}
                className="input mono"
                type="password"
                autoComplete="off"
                spellCheck={false}
              />
            </label>
            <div className="line">
              <button type="submit" className="button" data-primary>
                Use it
              </button>
              {token() && (
                <button type="button" className="button" onClick={() => use(null)}>
                  Forget the one in use
                </button>
              )}
              <Dialog.Close className="button" data-plain>
                Cancel
              </Dialog.Close>
            </div>
          </form>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
