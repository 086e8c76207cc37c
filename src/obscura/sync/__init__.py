"""Floor 2: catching up. A view of the header tree and the policy of downloading; nothing here sends."""
