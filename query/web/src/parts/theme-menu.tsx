import { Menu } from "@base-ui/react/menu";
import { Keyboard, KeyRound, Moon, Settings2, Sun, SunMoon } from "lucide-react";
import { useSyncExternalStore } from "react";
import { onTheme, setTheme, type Theme, theme } from "~/state/theme";
import { askForToken } from "~/state/token";
import css from "./theme-menu.module.css";

const THEMES = [
  { value: "system", label: "As the system", icon: SunMoon },
  { value: "light", label: "Light", icon: Sun },
  { value: "dark", label: "Dark", icon: Moon },
] as const;

/** Light or dark, the token, the keys. */
export function ThemeMenu({ onHelp }: { onHelp: () => void }) {
  const chosen = useSyncExternalStore(onTheme, theme);
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="button" data-icon data-plain aria-label="Settings" title="Settings">
        <Settings2 size={16} aria-hidden="true" />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner className="positioner" sideOffset={6} align="end">
          <Menu.Popup className="popup">
            <Menu.Group>
              <Menu.GroupLabel className={css.label}>Colours</Menu.GroupLabel>
              <Menu.RadioGroup value={chosen} onValueChange={(value: Theme) => setTheme(value)}>
                {THEMES.map(({ value, label, icon: Icon }) => (
                  <Menu.RadioItem key={value} value={value} className="menu-item">
                    <Icon size={14} aria-hidden="true" />
                    {label}
                  </Menu.RadioItem>
                ))}
              </Menu.RadioGroup>
            </Menu.Group>
            <Menu.Separator className={css.separator} />
            <Menu.Item className="menu-item" onClick={() => askForToken()}>
              <KeyRound size={14} aria-hidden="true" />
              Token
            </Menu.Item>
            <Menu.Item className="menu-item" onClick={onHelp}>
              <Keyboard size={14} aria-hidden="true" />
              Keys
              <kbd className={css.key}>?</kbd>
            </Menu.Item>
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
