import Apus

/// What a release must have behind it before it may be current in a mode.
enum PromotionRule {
  /// A sentence if the rule forbids it; `nil` if it does not.
  ///
  /// A release for shadow needs a pass in simulation, one for the test network a pass in shadow, one for production a pass
  /// on the test network: of a release, this one or another of the root, with the same program (each of its files but `revision`) and the same
  /// configuration as `Configuration.forPromotion` compares them.
  static func problem(_ release: ReleaseManifest, among others: [ReleaseManifest]) -> String? {
    guard let needed = release.mode.predecessor else { return nil }
    let passed = others.filter { $0.passed.contains { $0.mode == needed } }
    if passed.contains(where: { $0.program == release.program && $0.promotionSha256 == release.promotionSha256 }) {
      return nil
    }
    let start =
      "the release \(release.name) is for \(release.mode.rawValue), and no release with its program and its configuration "
      + "(apart from mode, addresses and keys) has passed \(needed.rawValue)"
    let near: String? =
      if let other = passed.first(where: { $0.program == release.program }) {
        "\(other.name) has, with this program and another configuration"
      } else if let other = passed.first(where: { $0.promotionSha256 == release.promotionSha256 }) {
        "\(other.name) has, with this configuration and another program"
      } else {
        nil
      }
    return start + (near.map { " (\($0))" } ?? "") + ": run one there, and record it with apus release passed"
  }
}
