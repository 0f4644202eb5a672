/** Preformatted text that scrolls when it is long. */

interface CodeProps {
  readonly children: string;
  readonly testid: string;
}

export function Code({ children, testid }: CodeProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scroll container must be keyboard-accessible (WCAG 2.1.1)
    <pre tabIndex={0} data-testid={testid}>
      {children}
    </pre>
  );
}
