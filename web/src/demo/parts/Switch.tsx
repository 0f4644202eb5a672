/** A switch (WAI-ARIA 1.2, role switch): a button, so that every key of a button works. */

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
