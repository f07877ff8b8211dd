import {
  Activity,
  Bug,
  CircleDollarSign,
  GitCompareArrows,
  HeartPulse,
  History,
  type LucideIcon,
  Menu as MenuIcon,
  PanelLeft,
  ScrollText,
  Search,
  Sparkles,
} from "lucide-react";
import { Suspense, useEffect, useRef, useState } from "react";
import { NavLink, Outlet, useLocation, useNavigate } from "react-router";
import { hrefNow, useHref } from "~/state/url";
import { HelpDialog } from "./help";
import { Jump } from "./jump";
import { RangePicker } from "./range-picker";
import { RefreshMenu } from "./refresh-menu";
import css from "./shell.module.css";
import { SkeletonRows } from "./states";
import { ThemeMenu } from "./theme-menu";
import { TokenDialog } from "./token-dialog";

interface Place {
  path: string;
  label: string;
  icon: LucideIcon;
  key: string;
}

const PLACES: readonly Place[] = [
  { path: "/", label: "Overview", icon: Activity, key: "o" },
  { path: "/search", label: "Traces", icon: Search, key: "t" },
  { path: "/logs", label: "Logs", icon: ScrollText, key: "l" },
  { path: "/errors", label: "Errors", icon: Bug, key: "e" },
  { path: "/changes", label: "Changes", icon: History, key: "g" },
  { path: "/compare", label: "Compare", icon: GitCompareArrows, key: "c" },
  { path: "/quality", label: "Quality", icon: Sparkles, key: "q" },
  { path: "/costs", label: "Costs", icon: CircleDollarSign, key: "d" },
  { path: "/health", label: "Health", icon: HeartPulse, key: "h" },
];

const FOLDED = "ganglion.folded";

/** Since when a page asks where the address does not say. */
const SINCE: Record<string, string> = {
  "/errors": "24h",
  "/costs": "24h",
  "/compare": "24h",
  "/quality": "7d",
};

export function sinceOf(path: string): string {
  return SINCE[path] ?? "1h";
}

export function Shell() {
  const location = useLocation();
  const [open, setOpen] = useState(false);
  const [folded, setFolded] = useState(() => localStorage.getItem(FOLDED) === "yes");
  const [help, setHelp] = useState(false);
  useKeys(() => setHelp(true));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the menu
  useEffect(() => setOpen(false), [location.pathname]);
  const fold = () => {
    localStorage.setItem(FOLDED, folded ? "no" : "yes");
    setFolded(!folded);
  };
  return (
    <div className={css.shell} data-folded={folded || undefined}>
      <a className={css.skip} href="#main">
        Skip to content
      </a>
      <header className={css.top}>
        <button
          type="button"
          className={`button ${css.menu}`}
          data-icon
          data-plain
          aria-label="Menu"
          aria-expanded={open}
          aria-controls="places"
          onClick={() => setOpen(!open)}
        >
          <MenuIcon size={18} aria-hidden="true" />
        </button>
        <Brand />
        <Jump />
        <div className={css.time}>
          <RangePicker since={sinceOf(location.pathname)} />
          <RefreshMenu />
        </div>
        <ThemeMenu onHelp={() => setHelp(true)} />
      </header>
      <nav id="places" className={css.places} data-open={open || undefined} aria-label="Pages">
        <Places />
        <button
          type="button"
          className={css.fold}
          onClick={fold}
          aria-label={folded ? "Widen the menu" : "Narrow the menu"}
        >
          <PanelLeft size={16} aria-hidden="true" />
          <span>Narrow</span>
        </button>
      </nav>
      {open && (
        <button
          type="button"
          className={css.cover}
          aria-label="Close the menu"
          onClick={() => setOpen(false)}
        />
      )}
      <main id="main" className={css.main} tabIndex={-1}>
        <Suspense fallback={<SkeletonRows />}>
          <Outlet />
        </Suspense>
      </main>
      <TokenDialog />
      <HelpDialog open={help} onClose={() => setHelp(false)} />
    </div>
  );
}

function Brand() {
  const href = useHref();
  return (
    <NavLink to={href("/")} className={css.brand} aria-label="Ganglion, overview">
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="var(--accent-fill)" />
        <g stroke="#fff" strokeWidth="2.2" strokeLinecap="round" fill="none">
          <path d="M6 8l8 7M6 24l8-7M26 9l-8 6M26 16h-7M26 23l-8-6" />
        </g>
        <circle cx="16" cy="16" r="4.2" fill="#fff" />
      </svg>
      <span>Ganglion</span>
    </NavLink>
  );
}

function Places() {
  const href = useHref();
  const { pathname } = useLocation();
  return (
    <ul>
      {PLACES.map(({ path, label, icon: Icon }) => {
        const current = path === "/search" && /^\/(debug\/)?trace\//.test(pathname);
        return (
          <li key={path}>
            <NavLink
              to={href(path)}
              end={path === "/"}
              className={({ isActive }) => (isActive || current ? `${css.place} ${css.here}` : css.place)}
              title={label}
            >
              <Icon size={16} aria-hidden="true" />
              <span>{label}</span>
            </NavLink>
          </li>
        );
      })}
    </ul>
  );
}

const EDITABLE =
  "input, textarea, select, [contenteditable=true], [role=dialog], [role=menu], [role=listbox]";

/** Keys that work on every page: `?`, `/`, and `g` with the letter of a page. */
function useKeys(showHelp: () => void) {
  const navigate = useNavigate();
  const waits = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (event.ctrlKey || event.metaKey || event.altKey || target?.closest(EDITABLE)) {
        return;
      }
      const place = PLACES.find((one) => one.key === event.key);
      if (performance.now() - waits.current < 1200 && place) {
        waits.current = Number.NEGATIVE_INFINITY;
        event.preventDefault();
        navigate(hrefNow(place.path));
      } else if (event.key === "g") {
        waits.current = performance.now();
      } else if (event.key === "?") {
        event.preventDefault();
        showHelp();
      } else if (event.key === "/") {
        event.preventDefault();
        focusSearch();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [navigate, showHelp]);
}

/** The search of the page if it has one, else that of all pages. */
function focusSearch() {
  const fields = document.querySelectorAll<HTMLInputElement>('main [data-hotkey="search"], #jump');
  const target = [...fields].find((field) => field.closest("main")) ?? fields[0];
  target?.focus();
  target?.select();
}
