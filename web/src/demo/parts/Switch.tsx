/** A switch (WAI-ARIA 1.2, role `switch`), built on a button for its keyboard support. */

interface SwitchProps {
  readonly label: string;
  readonly on: boolean;
  readonly onChange: (on: boolean) => void;
  readonly testid: string;
}

export function Switch({ label, on, onChange, testid }: SwitchProps) {
  return (
    <button
      type="button"
      role="switch"
      className="switch"
      aria-checked={on}
      aria-label={label}
      title={label}
      onClick={() => onChange(!on)}
      data-testid={testid}
    />
  );
}
