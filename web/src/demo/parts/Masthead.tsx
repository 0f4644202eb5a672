/** The header: logo, name and tagline. */

export function Masthead() {
  return (
    <header className="masthead">
      <img className="mark" src="/favicon.svg" width="40" height="40" alt="" />
      <h1>Hookcast</h1>
      <p className="tagline">fal.ai webhooks in, live job events out.</p>
    </header>
  );
}
