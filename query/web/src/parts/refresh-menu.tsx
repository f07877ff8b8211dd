import { Menu } from "@base-ui/react/menu";
import { useIsFetching, useQueryClient } from "@tanstack/react-query";
import { ChevronDown, RotateCw } from "lucide-react";
import { useUrl } from "~/state/url";
import css from "./refresh-menu.module.css";

const CHOICES = [
  { value: "", label: "Off" },
  { value: "5", label: "Every 5 s" },
  { value: "10", label: "Every 10 s" },
  { value: "30", label: "Every 30 s" },
  { value: "60", label: "Every minute" },
  { value: "300", label: "Every 5 minutes" },
];

/** Ask again now, or by itself. */
export function RefreshMenu() {
  const url = useUrl();
  const client = useQueryClient();
  const busy = useIsFetching() > 0;
  const every = url.get("refresh");
  return (
    <div className={css.refresh}>
      <button
        type="button"
        className={css.now}
        aria-label="Refresh"
        title="Refresh"
        onClick={() => client.invalidateQueries()}
      >
        <RotateCw size={14} aria-hidden="true" className={busy ? css.busy : undefined} />
      </button>
      <Menu.Root modal={false}>
        <Menu.Trigger className={css.trigger} aria-label={`Refresh by itself: ${labelOf(every)}`}>
          {every ? `${every} s` : ""}
          <ChevronDown size={13} aria-hidden="true" />
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Positioner className="positioner" sideOffset={6} align="end">
            <Menu.Popup className="popup">
              <Menu.RadioGroup
                value={every}
                onValueChange={(value: string) => url.set({ refresh: value || null }, true)}
              >
                {CHOICES.map((choice) => (
                  <Menu.RadioItem key={choice.value} value={choice.value} className="menu-item" closeOnClick>
                    {choice.label}
                  </Menu.RadioItem>
                ))}
              </Menu.RadioGroup>
            </Menu.Popup>
          </Menu.Positioner>
        </Menu.Portal>
      </Menu.Root>
    </div>
  );
}

function labelOf(value: string): string {
  return CHOICES.find((choice) => choice.value === value)?.label ?? `every ${value} s`;
}
