//! Closed sets of the config: an enum whose values have the names that the config uses.

/// An enum with the names of its values, how to read it from a config, and how to write it back.
macro_rules! names {
    ($(#[$doc:meta])* $set:ident ($what:literal) { $($(#[$value_doc:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $set {
            $($(#[$value_doc])* $value,)*
        }

        impl $set {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// As the config calls it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }

            /// Which one is called so.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl serde::Serialize for $set {
            fn serialize<S: serde::Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
                into.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $set {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Named;

                impl serde::de::Visitor<'_> for Named {
                    type Value = $set;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("the name of a seccomp ", $what))
                    }

                    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<$set, E> {
                        $set::named(name).ok_or_else(|| {
                            E::custom(format_args!(concat!("{:?} is not a valid ", $what, " for seccomp"), name))
                        })
                    }
                }

                from.deserialize_str(Named)
            }
        }
    };
}

pub(crate) use names;
