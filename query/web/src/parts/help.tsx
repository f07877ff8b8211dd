import { Dialog } from "@base-ui/react/dialog";
import css from "./dialogs.module.css";

const GROUPS: readonly { name: string; keys: readonly (readonly [string, string])[] }[] = [
  {
    name: "Everywhere",
    keys: [
      ["/", "search"],
      ["?", "these keys"],
      ["g o", "overview"],
      ["g t", "traces"],
      ["g l", "logs"],
      ["g e", "errors"],
      ["g g", "changes"],
      ["g c", "compare"],
      ["g q", "quality"],
      ["g d", "costs"],
      ["g h", "health"],
    ],
  },
  {
    name: "Lists",
    keys: [
      ["j k", "next, before"],
      ["Enter", "open"],
    ],
  },
  {
    name: "A trace",
    keys: [
      ["↑ ↓", "next, before"],
      ["← →", "collapse, expand"],
      ["Enter", "details"],
      ["e E", "next, last error"],
      ["f", "find in the trace"],
      ["n N", "next, last match"],
      ["+ - 0", "zoom, show all"],
      ["Esc", "close details"],
    ],
  },
];

export function HelpDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog.Root open={open} onOpenChange={(wanted) => !wanted && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop" />
        <Dialog.Popup className="dialog">
          <Dialog.Title className={css.title}>Keys</Dialog.Title>
          <div className={css.groups}>
            {GROUPS.map((group) => (
              <section key={group.name}>
                <h3>{group.name}</h3>
                <dl className={css.keys}>
                  {group.keys.map(([key, what]) => (
                    <div key={key}>
                      <dt>
                        {key.split(" ").map((one, index) => (
                          <kbd key={index}>{one}</kbd>
                        ))}
                      </dt>
                      <dd>{what}</dd>
                    </div>
                  ))}
                </dl>
              </section>
            ))}
          </div>
          <Dialog.Close className="button">Close</Dialog.Close>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
