// SPDX-License-Identifier: BSD-2-Clause
//! Errors, which the library tells as negative `errno` values.

use std::fmt;
use std::io;
use std::os::raw::c_int;

/// Why an operation was refused. It has then changed nothing that anybody can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// `ENOENT`: nothing is mapped there, or no mapping has exactly these bounds.
    NotFound,
    /// `ENOMEM`: no memory for the change.
    OutOfMemory,
    /// `EACCES`: mapped, without all flags that were asked for.
    Access,
    /// `EFAULT`: mapped to what is no memory of this process.
    Fault,
    /// `EBUSY`: from inside a write, or while a transaction that was leaked is open.
    Busy,
    /// `EEXIST`: overlaps a mapping.
    Exists,
    /// `EINVAL`: an argument that is never valid, or a mapping that must not be cut.
    Invalid,
    /// `ENOSPC`: the entry limit is reached, or there is no such hole.
    NoSpace,
    /// `ERANGE`: outside of the aperture.
    OutsideAperture,
    /// `EMSGSIZE`: there are more segments than room for them.
    TooManySegments,
    /// `ENOTSUP`: what this machine, or this tree, does not have.
    NotSupported,
    /// `EDEADLK`: a write from inside a read-side section of its tree, for which it might wait. Told
    /// by this crate, where the [`Rcu`](crate::Rcu) knows, before anything is done.
    InSection,
    /// Another `errno` value.
    Other(i32),
}

const ERRNO: [(Error, i32, &str); 12] = [
    (Error::NotFound, 2, "not mapped, or not with these bounds"),
    (Error::OutOfMemory, 12, "out of memory"),
    (Error::Access, 13, "mapped without the access asked for"),
    (Error::Fault, 14, "mapped to what is no memory of this process"),
    (Error::Busy, 16, "inside a write, or a transaction is open"),
    (Error::Exists, 17, "overlaps a mapping"),
    (Error::Invalid, 22, "invalid argument, or a mapping would be cut"),
    (Error::NoSpace, 28, "entry limit reached, or no such hole"),
    (Error::OutsideAperture, 34, "outside of the aperture"),
    (Error::InSection, 35, "a write inside a read-side section of its tree"),
    (Error::TooManySegments, 90, "more segments than room for them"),
    (Error::NotSupported, 95, "not supported by this machine or this tree"),
];

impl Error {
    /// The `errno` value, positive: of Linux, on most machines.
    pub fn errno(self) -> i32 {
        if let Error::Other(errno) = self {
            return errno;
        }
        ERRNO.iter().find(|(error, ..)| *error == self).map_or(0, |&(_, errno, _)| errno)
    }

    /// What the library has returned.
    pub(crate) fn check(code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        let known = ERRNO.iter().find(|&&(_, errno, _)| errno == -code);
        Err(known.map_or(Error::Other(-code), |&(error, ..)| error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ERRNO.iter().find(|(error, ..)| error == self) {
            Some((_, _, text)) => f.write_str(text),
            None => write!(f, "error {}", self.errno()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::from_raw_os_error(error.errno())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_goes_there_and_back() {
        for (error, errno, text) in ERRNO {
            assert_eq!(Error::check(-errno), Err(error));
            assert_eq!(error.errno(), errno);
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(Error::check(0), Ok(()));
        assert_eq!(Error::check(-5), Err(Error::Other(5)));
        assert_eq!(Error::Other(5).to_string(), "error 5");
        assert_eq!(io::Error::from(Error::NotFound).kind(), io::ErrorKind::NotFound);
    }
}
